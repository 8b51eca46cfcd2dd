//! The record of a bulk deletion, beside its file: the ids that were deleted, one in a line.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Added to as ids are deleted, so that a run that is ended in any way leaves a record that is
/// right.
#[derive(Debug)]
pub(crate) struct Done {
    file: File,
}

impl Done {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::options().append(true).create(true).open(path)?;
        // A line that was cut off names nobody, and must not spoil the next one.
        let is_cut_off =
            path.is_file() && fs::read(path)?.last().is_some_and(|byte| *byte != b'\n');
        if is_cut_off {
            file.write_all(b"\n")?;
        }
        Ok(Self { file })
    }

    /// What is in a record, if there is one. A device has none, and may have no end.
    pub(crate) fn read(path: &Path) -> io::Result<HashSet<String>> {
        let text = if path.is_file() { fs::read(path)? } else { Vec::new() };
        Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
    }

    /// In one piece, so that the lines of two runs do not mix.
    pub(crate) fn add(&mut self, id: &str) -> io::Result<()> {
        self.file.write_all(format!("{id}\n").as_bytes())
    }
}
