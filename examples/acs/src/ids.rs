//! Files of user ids: one per line, or the output of this program or az.

use std::collections::HashSet;

use acs_identity::{CommunicationIdentifier, CommunicationUserIdentifier, Error};
use serde_json::{Deserializer, Value};

/// The contents of a file in its order, without repetitions.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    pub(crate) users: Vec<CommunicationUserIdentifier>,
    /// The number of the line and what is wrong with it. The line itself is not repeated: it may be of
    /// any file.
    pub(crate) malformed: Vec<(usize, String)>,
}

/// Reads JSON or lines; blank lines and lines that begin with `#` are skipped.
pub(crate) fn parse(file: &[u8]) -> Result<Ids, &'static str> {
    if file.starts_with(&[0xff, 0xfe]) || file.starts_with(&[0xfe, 0xff]) {
        return Err("it is UTF-16: save it as UTF-8");
    }
    if file.contains(&0) {
        return Err("it has NUL bytes: if it is UTF-16, save it as UTF-8");
    }
    let text = String::from_utf8_lossy(file);
    let text = text.trim_start_matches('\u{feff}');
    let mut ids = Ids::default();
    if text.trim_start().starts_with(['{', '[']) {
        ids.read_json(text);
    } else {
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if !line.is_empty() && !line.starts_with('#') {
                // The first value of a line of tsv.
                ids.add(number, line.split('\t').next().unwrap_or_default());
            }
        }
    }
    ids.users = once_each(ids.users);
    Ok(ids)
}

impl Ids {
    fn add(&mut self, line: usize, id: &str) {
        match parse_id(id) {
            Ok(user) => self.users.push(user),
            Err(reason) => self.malformed.push((line, reason)),
        }
    }

    /// Reads values one after the other, or lists of them.
    fn read_json(&mut self, text: &str) {
        let mut values = Deserializer::from_str(text).into_iter::<Value>();
        let (mut line, mut offset) = (1, 0);
        while let Some(value) = values.next() {
            let read = text.get(offset..values.byte_offset()).unwrap_or_default();
            line += read.matches('\n').count();
            offset = values.byte_offset();
            match value {
                Ok(Value::Array(values)) => {
                    for value in &values {
                        self.add_json(line, value);
                    }
                }
                Ok(value) => self.add_json(line, &value),
                Err(error) => {
                    let problem = (line.max(error.line()), "it is not JSON".to_owned());
                    self.malformed.push(problem);
                }
            }
        }
    }

    /// Adds an id, or an object of `token issue` or `user create`, or its `properties`.
    fn add_json(&mut self, line: usize, value: &Value) {
        let member = ["user_id", "rawId", "id"].iter().find_map(|name| value.get(name));
        match member.unwrap_or(value).as_str() {
            Some(id) => self.add(line, id),
            None => self.malformed.push((line, "it has no user_id, rawId or id".to_owned())),
        }
    }
}

/// Removes repetitions and keeps the order.
pub(crate) fn once_each(
    users: impl IntoIterator<Item = CommunicationUserIdentifier>,
) -> Vec<CommunicationUserIdentifier> {
    let mut seen = HashSet::new();
    users.into_iter().filter(|user| seen.insert(user.clone())).collect()
}

/// Stricter than the library, which leaves unknown forms to the service: the service would not know
/// the id, and a file of something else would look like a list of users who are gone.
pub(crate) fn parse_id(text: &str) -> Result<CommunicationUserIdentifier, String> {
    let problem = |error: Error| error.to_string();
    text.parse::<CommunicationUserIdentifier>().map_err(problem)?;
    let user = CommunicationIdentifier::from(text).try_into().map_err(problem)?;
    let is_other = |c: char| !c.is_ascii_graphic() || matches!(c, '"' | '\'' | ',' | ';');
    // A script that lost the rest of an id leaves `8:` or `8:acs:`.
    let is_complete = text.splitn(3, ':').nth(2).is_some_and(|rest| !rest.is_empty());
    if !text.starts_with("8:") || !is_complete || text.contains(is_other) {
        return Err("not a user id: expected 8:acs:<resource>_<user> and nothing else".to_owned());
    }
    Ok(user)
}

/// Returns what all users of a resource share: its id, as it stands in `8:acs:<resource>_<user>`, and the length
/// of theirs. An id that was cut off is shorter.
pub(crate) fn resource_of(user: &str) -> Option<(String, usize)> {
    let (resource, _) = user.splitn(3, ':').nth(2)?.split_once('_')?;
    Some((resource.to_owned(), user.len()))
}
