//! Files of user ids, one in a line.

use std::collections::HashSet;

use acs_identity::{CommunicationIdentifier, CommunicationUserIdentifier};

/// What a file has, in its order; an id that is there twice is here once.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    pub(crate) users: Vec<CommunicationUserIdentifier>,
    /// The number of the line, and what is wrong with it. The line itself is not repeated: who
    /// knows what file it is.
    pub(crate) malformed: Vec<(usize, String)>,
}

/// Reads lines of any ending; blank ones and those that begin with `#` are skipped.
pub(crate) fn parse(file: &[u8]) -> Result<Ids, &'static str> {
    if file.starts_with(&[0xff, 0xfe]) || file.starts_with(&[0xfe, 0xff]) {
        return Err("it is UTF-16: save it as UTF-8");
    }
    let text = String::from_utf8_lossy(file);
    let mut ids = Ids::default();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match parse_id(line) {
            Ok(user) => ids.users.push(user),
            Err(reason) => ids.malformed.push((number, reason)),
        }
    }
    ids.users = once_each(ids.users);
    Ok(ids)
}

/// In their order, and without repetitions.
pub(crate) fn once_each(
    mut users: Vec<CommunicationUserIdentifier>,
) -> Vec<CommunicationUserIdentifier> {
    let mut seen = HashSet::new();
    users.retain(|user| seen.insert(user.clone()));
    users
}

/// Stricter than the library, which leaves unknown forms to the service. The service would not know
/// the id, and a file of something else (a table, JSON) would look like one whose users are all
/// gone.
pub(crate) fn parse_id(text: &str) -> Result<CommunicationUserIdentifier, String> {
    let user = CommunicationUserIdentifier::try_from(CommunicationIdentifier::from(text))
        .map_err(|error| error.to_string())?;
    let alien = |c: char| !c.is_ascii_graphic() || matches!(c, '"' | '\'' | ',' | ';');
    // Nothing is behind `8:` and `8:acs:`, whose ends a script has lost.
    let is_whole = text.splitn(3, ':').nth(2).is_some_and(|rest| !rest.is_empty());
    if !text.starts_with("8:") || !is_whole || text.contains(alien) {
        return Err("it is no user id: expected 8:acs:<resource>_<user> alone".to_owned());
    }
    Ok(user)
}
