//! The longer texts of `--help`.

pub(crate) const ABOUT: &str =
    "Users and access tokens of Azure Communication Services, from a shell, from cron and from CI.";

/// Below the help of each command.
pub(crate) const SEE_GENERAL: &str = "See acs --help for settings, output formats and exit codes.";

pub(crate) const GENERAL: &str = include_str!("../help/general.txt");
pub(crate) const DELETE: &str = include_str!("../help/delete.txt");
pub(crate) const CHECK: &str = include_str!("../help/check.txt");
pub(crate) const EXCHANGE: &str = include_str!("../help/exchange.txt");
pub(crate) const COMPLETION: &str = include_str!("../help/completion.txt");
pub(crate) const EMULATOR: &str = include_str!("../help/emulator.txt");
