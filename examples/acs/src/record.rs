//! The record of a bulk deletion: a title with the host, and below it the ids that need no further
//! request, one per line.

use std::collections::HashSet;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use crate::failure::Failure;
use crate::output;

const TITLE: &str = "# Record of acs user delete: these users no longer exist at ";

/// A record that grows with each deletion, so that it is right whatever ends the run.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    path: &'a Path,
    file: File,
}

/// Reads the ids of a record. There are none if there is no file yet, or if it is a device.
///
/// Fails for a file that is not the record of this host: every id in it would count as deleted.
pub(crate) fn read(path: &Path, host: &str) -> Result<HashSet<String>, Failure> {
    let text = content(path).map_err(|error| unusable(path, "read", &error))?;
    let (mut ids, mut titled) = (HashSet::new(), None);
    for line in text.lines().filter(|line| !line.is_empty()) {
        match (line.strip_prefix(TITLE), titled) {
            (Some(host), _) => titled = Some(host),
            (None, Some(titled)) if titled == host => {
                ids.insert(line.to_owned());
            }
            (None, Some(other)) => {
                let problem =
                    format!("it is the record of another resource, {}", other.escape_debug());
                return Err(unusable(path, "used", &problem));
            }
            (None, None) => {
                return Err(unusable(path, "used", &"it is not a record of acs user delete"));
            }
        }
    }
    Ok(ids)
}

impl<'a> Record<'a> {
    pub(crate) fn open(path: &'a Path, host: &str) -> Result<Self, Failure> {
        let title = format!("{TITLE}{host}");
        let open = || {
            let mut file = File::options().append(true).create(true).open(path)?;
            let text = content(path)?;
            // A line that was cut off names nobody, and must not spoil the next one.
            if !text.is_empty() && !text.ends_with('\n') {
                file.write_all(b"\n")?;
            }
            // A record without ids may have been begun for another host.
            if text.lines().rfind(|line| line.starts_with(TITLE)) != Some(title.as_str()) {
                file.write_all(format!("{title}\n").as_bytes())?;
            }
            Ok(file)
        };
        let file = open().map_err(|error: io::Error| unusable(path, "written", &error))?;
        Ok(Self { path, file })
    }

    /// Writes each line in one piece, so that the lines of two runs do not mix.
    pub(crate) fn add<'b>(
        &mut self,
        ids: impl IntoIterator<Item = &'b str>,
    ) -> Result<(), Failure> {
        let mut ids = ids.into_iter();
        let written = ids.try_for_each(|id| self.file.write_all(format!("{id}\n").as_bytes()));
        written.map_err(|error| unusable(self.path, "written", &error))
    }
}

/// A device has no end.
fn content(path: &Path) -> io::Result<String> {
    let text = if path.is_file() { fs::read(path)? } else { Vec::new() };
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn unusable(path: &Path, action: &str, problem: &dyn Display) -> Failure {
    let name = output::name(path);
    let advice = "name another record with --done";
    Failure::usage(format!("{name} cannot be {action}: {problem}: {advice}"))
}
