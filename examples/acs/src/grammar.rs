//! The words of the command line, which are those of `az communication user-identity`, and its
//! help.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, ValueParser};
use clap::{Arg, ArgAction, ArgGroup, Command, value_parser};
use clap_complete::Shell;

use crate::emulator::help::{ABOUT as ABOUT_EMULATOR, GRAMMAR, LOG, OPTIONS};
use crate::{duration, ids};

/// The widest that help gets.
const WIDTH: usize = 100;

const ABOUT: &str =
    "Users and access tokens of Azure Communication Services, from a shell, from cron and from CI.";

const AFTER_HELP: &str = "\
Settings are read from the first of these that is set:
  --connection-string, or --endpoint with --token-command
  COMMUNICATION_SERVICES_CONNECTION_STRING  as in Microsoft's quickstarts
  AZURE_COMMUNICATION_CONNECTION_STRING     as in az
Other users of a machine can read the arguments of its processes: prefer the variables. Root certificates are read from --ca-file or SSL_CERT_FILE, a proxy from the first set of ALL_PROXY, HTTPS_PROXY and HTTP_PROXY, except for hosts in NO_PROXY. NO_COLOR turns colors off.

Exit codes:
  0    done
  1    the service failed or was not reached, or output could not be written
  2    wrong usage or settings, a malformed id, a refused value, or not confirmed
  3    the credential was refused or could not be obtained
  4    throttled: try again later
  5    not found: no such user, or another resource's
  130  interrupted
Of several failures the worst counts: 130, then 3, 1, 4, 2, 5.

Data goes to stdout, everything else to stderr. The commands, and the names in their JSON, are those of `az communication user-identity`: the id is `.properties.id` after `user create` and `.user_id` after `token issue`. The other formats are ours: values in one line (tsv), lines `name: value` (text), or columns (table).

Examples:
  acs token issue --scope chat voip
  acs token issue --scope voip --user 8:acs:... --expires-in 90m --output tsv
  acs user delete --from-file ids.txt --yes
  acs check --online
  acs check --endpoint https://contoso.communication.azure.com --token-command \\
    'az account get-access-token --scope https://communication.azure.com//.default'";

const DELETE_HELP: &str = "\
A file has one id in a line (blank lines and lines that begin with # are skipped), or anything that acs prints: JSON, tsv, text or table. It is read and checked as a whole before the first deletion.

Deleted ids are recorded in FILE.done, and the next run with the same file skips them. Delete the record together with the file. stdin and pipes have no record unless you name one with --done.

An id that the service does not know counts as already deleted. If that is true of every id and none is in the record, the run fails with exit code 5: the file is probably another resource's. With --strict, one such id is enough. -v lists them.

When the service throttles, the run pauses for as long as the service asks, or for 30 seconds, and no id is given up. Other failures of the service are tried 4 times. A service out of reach for --timeout ends the run, and so does a refused credential. Ctrl-C finishes what is under way, a second one ends at once. Run the same command again to go on.

Several runs against one resource share its 500 deletions in 30 seconds: --rate 250 divides them between two.";

const CHECK_HELP: &str = "\
Without --online nothing is sent: neither the key nor the resource's existence is proved, and the token command is not run.

With --online, one token is requested for a user who does not exist (8:acs: and zeros). The service refuses that with IdentityNotOwned only after it has accepted the credential, which proves the key, the clock and the network. Nothing is created, changed or billed; the request counts as one of the 1,000 token requests that the service takes in 30 seconds.";

const EXCHANGE_HELP: &str = "\
Other users of a machine can read the arguments of its processes: prefer --teams-token - and the token on stdin.";

const COMPLETION_HELP: &str = "\
For example:
  acs completion bash > ~/.local/share/bash-completion/completions/acs
  acs completion zsh > ~/.zfunc/_acs
  acs completion fish > ~/.config/fish/completions/acs.fish
  acs completion powershell >> $PROFILE";

pub(crate) fn completion(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut grammar(), "acs", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

pub(crate) fn emulator_help() -> String {
    emulator().render_help().to_string()
}

pub(crate) fn grammar() -> Command {
    let mut grammar = outline();
    // Every command gets the settings, then the emulator, which has none, loses them again.
    grammar.build();
    grammar.mut_subcommand("emulator", |_| emulator())
}

fn outline() -> Command {
    parent("acs")
        // Windows would say acs.exe.
        .bin_name("acs")
        .about(ABOUT)
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(AFTER_HELP)
        .max_term_width(WIDTH)
        .args(settings())
        .subcommand(
            parent("user").about("Create and delete users").subcommands([create(), delete()]),
        )
        .subcommand(
            parent("token").about("Issue, revoke and exchange access tokens").subcommands([
                issue(),
                revoke(),
                exchange(),
            ]),
        )
        .subcommand(
            Command::new("check")
                .about("Check the settings and show them, without secrets")
                .after_help(CHECK_HELP)
                .arg(flag("online").help("Ask the service, too")),
        )
        .subcommand(emulator())
        .subcommand(
            Command::new("completion")
                .about("Print a script that completes the commands and options of acs")
                .after_help(COMPLETION_HELP)
                .arg(
                    Arg::new("shell")
                        .required(true)
                        .value_parser(value_parser!(Shell))
                        .help("The shell that runs the script"),
                ),
        )
}

fn create() -> Command {
    Command::new("create").about("Create a user and print its id")
}

fn delete() -> Command {
    let rate = option("rate", "N")
        .value_parser(value_parser!(u16).range(1..))
        .default_value("500")
        .help("Deletions in 30 seconds at most; the service takes 500");
    let file = option("from-file", "FILE").value_parser(value_parser!(PathBuf)).help(
        "Delete the users whose ids are in a file, one in a line or as acs prints them; - is stdin",
    );
    let done = option("done", "FILE")
        .value_parser(value_parser!(PathBuf))
        .conflicts_with("user")
        .help("Record deleted ids here, and skip those recorded [default: FILE.done]");
    let strict =
        flag("strict").conflicts_with("user").help("Fail if the service does not know an id");
    Command::new("delete")
        .about("Delete users and revoke their tokens")
        .after_help(DELETE_HELP)
        .arg(user().num_args(1..).action(ArgAction::Append).help("The ids of the users"))
        .args([file, done, strict, rate, yes()])
        .group(ArgGroup::new("whom").args(["user", "from-file"]).required(true))
}

fn issue() -> Command {
    let scope = option("scope", "SCOPE")
        .short('s')
        .num_args(1..)
        .action(ArgAction::Append)
        .required(true)
        .help("What the token allows: chat, voip, chat.join, chat.join.limited, voip.join; several are fine");
    let expires_in = option("expires-in", "TIME")
        .value_parser(duration::parse_lifetime)
        .help("How long the token lives: 90m, 2h, from 60 minutes to 24 hours [default: 24h]");
    let user = user().help("The id of the user; without it, one is created");
    Command::new("issue")
        .about("Issue an access token for a user and print it")
        .args([scope, user, expires_in])
}

fn revoke() -> Command {
    Command::new("revoke")
        .about("Revoke all access tokens of a user")
        .args([user().required(true).help("The id of the user"), yes()])
}

fn exchange() -> Command {
    let teams_token = option("teams-token", "TOKEN")
        .alias("aad-token")
        .required(true)
        .help("The Entra token of the Teams user (az: --aad-token); - reads it from stdin");
    let client = option("client", "ID")
        .required(true)
        .help("The id of the Entra application that the token was issued to");
    let teams_user = option("teams-user", "ID")
        .alias("aad-user")
        .required(true)
        .help("The Entra object id of the Teams user (az: --aad-user)");
    Command::new("exchange")
        .visible_alias("get-for-teams-user")
        .about("Exchange the Entra token of a Teams user for an access token and print it")
        .after_help(EXCHANGE_HELP)
        .args([teams_token, client, teams_user])
}

/// For help and completion: the program reads its options itself.
fn emulator() -> Command {
    let options = OPTIONS.map(|(name, values, help)| {
        let option = flag(name).help(help);
        if values.is_empty() {
            option
        } else {
            option.action(ArgAction::Append).value_names(values)
        }
    });
    Command::new("emulator")
        .about(ABOUT_EMULATOR)
        .after_help(format!("{GRAMMAR}\n\n{LOG}"))
        .bin_name("acs emulator")
        .max_term_width(WIDTH)
        .next_line_help(true)
        .args(options)
}

fn settings() -> [Arg; 10] {
    [
        option("connection-string", "TEXT")
            .help("endpoint=https://...;accesskey=..., from the portal's Keys page"),
        option("endpoint", "URL").help("The resource's address, with --token-command"),
        option("token-command", "COMMAND")
            .help("Run in the shell; prints a bearer token, bare or as az's JSON, within 60 s and --timeout"),
        option("api-version", "VERSION")
            .value_parser(ValueParser::new(version))
            .help("The version of the service's interface [default: 2023-10-01]"),
        option("ca-file", "FILE")
            .value_parser(value_parser!(PathBuf))
            .help("Trust the root certificates of a PEM file in place of Mozilla's [default: SSL_CERT_FILE]"),
        option("timeout", "TIME")
            .value_parser(duration::parse)
            .help("How long a request may take, with retries and --token-command [default: 100s]"),
        option("output", "FORMAT")
            .short('o')
            .value_parser(PossibleValuesParser::new(["json", "tsv", "text", "table"]))
            .default_value("json")
            .help("How data is printed"),
        flag("quiet").short('q').help("Print problems only"),
        flag("verbose")
            .short('v')
            .conflicts_with("quiet")
            .help("Print a line for each request, with its ids and without secrets"),
        option("color", "WHEN")
            .value_parser(PossibleValuesParser::new(["auto", "always", "never"]))
            .default_value("auto")
            .help("Whether problems stand out in color"),
    ]
    .map(|option| option.global(true).help_heading("Settings"))
}

fn user() -> Arg {
    option("user", "ID").short('u').value_parser(ValueParser::new(ids::parse_id))
}

fn yes() -> Arg {
    flag("yes").short('y').help("Do not ask; needed where there is no terminal")
}

/// Anything else would be refused in words for programmers.
fn version(text: &str) -> Result<String, &'static str> {
    let mut parts = text.split('-');
    let is_date = [4, 2, 2].into_iter().all(|digits| {
        let part = parts.next().unwrap_or_default();
        part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit())
    });
    if is_date
        && parts
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    {
        return Ok(text.to_owned());
    }
    Err("expected a date such as 2023-10-01, or one with -preview")
}

fn flag(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

fn option(name: &'static str, value: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value)
}

fn parent(name: &'static str) -> Command {
    Command::new(name).subcommand_required(true).arg_required_else_help(true)
}
