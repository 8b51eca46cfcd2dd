//! Files of user ids: one in a line, or what this program prints.

use std::collections::HashSet;

use acs_identity::{CommunicationIdentifier, CommunicationUserIdentifier, Error};
use serde_json::{Deserializer, Value};

/// What a file has, in its order; an id that is there twice is here once.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    pub(crate) users: Vec<CommunicationUserIdentifier>,
    /// The number of the line, and what is wrong with it. The line itself is not repeated: who
    /// knows what file it is.
    pub(crate) malformed: Vec<(usize, String)>,
}

/// Reads JSON, or lines of any ending; blank ones and those that begin with `#` are skipped.
pub(crate) fn parse(file: &[u8]) -> Result<Ids, &'static str> {
    if file.starts_with(&[0xff, 0xfe]) || file.starts_with(&[0xfe, 0xff]) {
        return Err("it is UTF-16: save it as UTF-8");
    }
    let text = String::from_utf8_lossy(file);
    let text = text.trim_start_matches('\u{feff}');
    let mut ids = Ids::default();
    if text.trim_start().starts_with(['{', '[']) {
        ids.read_json(text);
    } else {
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(id) = id_in(line.trim()) {
                ids.add(number, id);
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

    /// Values one after the other, or a list of them.
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
                    let problem = (line.max(error.line()), "it is no JSON".to_owned());
                    self.malformed.push(problem);
                }
            }
        }
    }

    /// `rawId` is what az prints for a new user, and so does this program.
    fn add_json(&mut self, line: usize, value: &Value) {
        let id = value.get("user_id").or_else(|| value.get("rawId")).unwrap_or(value);
        self.add(line, id.as_str().unwrap_or_default());
    }
}

/// The id in a line as `--output text`, `tsv` or `table` prints it, or in one of its own; `None` if
/// there is none to expect.
fn id_in(line: &str) -> Option<&str> {
    const OTHERS: [&str; 2] = ["token:", "expires_on:"];
    let is_heading = line.starts_with("user_id  ") || line.chars().all(|c| matches!(c, '-' | ' '));
    let is_other = line.starts_with('#') || OTHERS.iter().any(|name| line.starts_with(name));
    if is_heading || is_other || line == "user_id" {
        return None;
    }
    if let Some(id) = line.strip_prefix("user_id: ") {
        return Some(id);
    }
    let end = line.find('\t').or_else(|| line.find("  ")).unwrap_or(line.len());
    line.get(..end)
}

/// In their order, and without repetitions.
pub(crate) fn once_each(
    users: Vec<CommunicationUserIdentifier>,
) -> Vec<CommunicationUserIdentifier> {
    let mut seen = HashSet::with_capacity(users.len());
    let first: Vec<bool> = users.iter().map(|user| seen.insert(user)).collect();
    users.into_iter().zip(first).filter_map(|(user, first)| first.then_some(user)).collect()
}

/// Stricter than the library, which leaves unknown forms to the service. The service would not know
/// the id, and a file of something else (a table, JSON) would look like one whose users are all
/// gone.
pub(crate) fn parse_id(text: &str) -> Result<CommunicationUserIdentifier, String> {
    let said = |error: Error| error.to_string();
    text.parse::<CommunicationUserIdentifier>().map_err(said)?;
    let user = CommunicationIdentifier::from(text).try_into().map_err(said)?;
    let alien = |c: char| !c.is_ascii_graphic() || matches!(c, '"' | '\'' | ',' | ';');
    // Nothing is behind `8:` and `8:acs:`, whose ends a script has lost.
    let is_whole = text.splitn(3, ':').nth(2).is_some_and(|rest| !rest.is_empty());
    if !text.starts_with("8:") || !is_whole || text.contains(alien) {
        return Err("not a user id: expected 8:acs:<resource>_<user> and nothing else".to_owned());
    }
    Ok(user)
}
