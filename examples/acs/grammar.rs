//! The words of the command line, which are those of `az communication user-identity`, and its
//! help.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, ValueParser};
use clap::{Arg, ArgAction, ArgGroup, Command, value_parser};

use crate::{duration, ids};

const ABOUT: &str =
    "Users and access tokens of Azure Communication Services, from a shell, from cron and from CI.";

const AFTER_HELP: &str = "\
The settings come from the first of these that is there:
  --connection-string, or --endpoint with --token-command
  COMMUNICATION_SERVICES_CONNECTION_STRING  as in Microsoft's quickstarts
  AZURE_COMMUNICATION_CONNECTION_STRING     as in az
Other users of a machine can read its processes' arguments: prefer the variables.

Exit codes:
  0  done; ids in a file that the service does not know count as gone
  1  the service failed or was not reached, or stdout could not be written
  2  wrong usage or settings, a malformed id, a value that the service refuses, or not confirmed
  3  the credential was refused, or could not be had
  4  throttled
  5  not found: no such user, or another resource's (with --user)
Of several failures the worst counts: 3, then 1, 4, 2, 5.

Data goes to stdout, everything else to stderr. The data is JSON with the names that az has, or its values in one line
(--output tsv), or a line `name: value` for each (--output text).

Examples:
  acs token issue --scope chat voip
  acs token issue --scope voip --user 8:acs:... --expires-in 90m --output tsv
  acs user delete --from-file ids.txt --yes
  acs check --endpoint https://contoso.communication.azure.com --token-command \\
    'az account get-access-token --scope https://communication.azure.com//.default --output json'";

const DELETE_HELP: &str = "\
With --from-file, ids are read from lines of which blank ones and those that begin with # are skipped. Several are
deleted at once, failures are reported and passed over, and an id that the service does not know is named and counts as
gone already: run it again with the same file until it succeeds. A refused credential ends it early, and so does a service
that is not reached 20 times in a row.";

const CHECK_HELP: &str = "\
Nothing is sent, so it cannot tell whether the key is right, nor whether there is such a resource; and a token command is
not run.";

const EXCHANGE_HELP: &str = "\
Other users of a machine can read its processes' arguments: prefer --teams-token - and the token on stdin.";

pub(crate) fn grammar() -> Command {
    parent("acs")
        .about(ABOUT)
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(AFTER_HELP)
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
                .about("Check the settings and show them, without secrets; send nothing")
                .after_help(CHECK_HELP),
        )
}

fn create() -> Command {
    let custom_id = option("custom-id", "ID").help(
        "An id of your own: the same one gives the same user (in preview, api-version 2025-03-02-preview)",
    );
    Command::new("create").about("Create a user and print its id").arg(custom_id)
}

fn delete() -> Command {
    let rate = option("rate", "N")
        .value_parser(value_parser!(u16).range(1..))
        .default_value("450")
        .help("Deletes to begin in 30 seconds at most; the service takes 500");
    let file = option("from-file", "FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Delete the users whose ids are in a file, one in a line; - is stdin");
    Command::new("delete")
        .about("Delete users and revoke their tokens")
        .after_help(DELETE_HELP)
        .arg(user().num_args(1..).action(ArgAction::Append).help("The ids of the users"))
        .args([file, rate, yes()])
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

fn settings() -> [Arg; 6] {
    [
        option("connection-string", "TEXT")
            .help("endpoint=https://...;accesskey=..., from the portal's Keys page"),
        option("endpoint", "URL").help("The resource's address, with --token-command"),
        option("token-command", "COMMAND")
            .help("Run in the shell; prints a bearer token, bare or as az's JSON, within 60 s and --timeout"),
        option("api-version", "VERSION").help("The version of the service's interface"),
        option("timeout", "TIME")
            .value_parser(duration::parse)
            .help("How long a request may take, with retries and --token-command [default: 100s]"),
        option("output", "FORMAT")
            .short('o')
            .value_parser(PossibleValuesParser::new(["json", "tsv", "text"]))
            .default_value("json")
            .help("How data is printed"),
    ]
    .map(|option| option.global(true).help_heading("Settings"))
}

fn user() -> Arg {
    option("user", "ID").short('u').value_parser(ValueParser::new(ids::parse_id))
}

fn yes() -> Arg {
    let help = "Do not ask; needed where there is no terminal";
    Arg::new("yes").long("yes").short('y').action(ArgAction::SetTrue).help(help)
}

fn option(name: &'static str, value: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value)
}

fn parent(name: &'static str) -> Command {
    Command::new(name).subcommand_required(true).arg_required_else_help(true)
}
