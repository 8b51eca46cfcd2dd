//! The commands that are one call of the client.

use std::io;
use std::time::Duration;

use acs_identity::{CommunicationUserIdentifier, TokenRequest};
use clap::builder::{PossibleValuesParser, ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::{command, flag, option};
use crate::failure::Failure;
use crate::output::{self, Data};
use crate::settings::Settings;
use crate::{confirm, duration, help, ids, interrupt};

const SCOPES: [&str; 5] = ["chat", "voip", "chat.join", "chat.join.limited", "voip.join"];

const CREATE_INTERRUPTED: &str = "interrupted: a user may have been created; its id is unknown, and running this again creates another";

pub(crate) fn create_command() -> Command {
    let query = output::query(&["properties", "properties.id", "rawId"]);
    command("create", "").about("Create a user and print its id").arg(query)
}

pub(crate) fn token_commands() -> [Command; 3] {
    let issue = command("issue", "").about("Issue an access token for a user and print it").args([
        option("scope", "SCOPE")
            .short('s')
            .num_args(1..)
            .value_delimiter(',')
            .action(ArgAction::Append)
            .required(true)
            .value_parser(PossibleValuesParser::new(SCOPES))
            .help("What the token allows; several scopes are fine"),
        user().help("The id of the user; without it, one is created"),
        option("expires-in", "TIME")
            .value_parser(duration::parse)
            .help("How long the token lives: 90m, 2h, from 60 minutes to 24 hours [default: 24h]"),
        output::query(&["user_id", "token", "expires_on"]),
    ]);
    let revoke = command("revoke", "")
        .about("Revoke all access tokens of a user")
        .args([user().required(true).help("The id of the user"), yes()]);
    let exchange = command("exchange", help::EXCHANGE)
        .visible_alias("get-for-teams-user")
        .about("Exchange the Entra token of a Teams user for an access token and print it")
        .args([
            option("teams-token", "TOKEN")
                .alias("aad-token")
                .required(true)
                .help("The Entra token of the Teams user (az: --aad-token); - reads it from stdin"),
            option("client", "ID")
                .required(true)
                .help("The id of the Entra application that the token was issued to"),
            option("teams-user", "ID")
                .alias("aad-user")
                .required(true)
                .help("The Entra object id of the Teams user (az: --aad-user)"),
            output::query(&["token", "expires_on"]),
        ]);
    [issue, revoke, exchange]
}

pub(crate) fn user() -> Arg {
    option("user", "ID").short('u').value_parser(ValueParser::new(ids::parse_id))
}

pub(crate) fn yes() -> Arg {
    flag("yes").short('y').help("Skip the confirmation prompt; required if there is no terminal")
}

pub(crate) fn create(matches: &mut ArgMatches) -> Result<Data, Failure> {
    let client = Settings::resolve(matches)?.client(None)?;
    interrupt::explain(CREATE_INTERRUPTED)?;
    Ok(Data::of_new_user(&client.create_user()?))
}

pub(crate) fn issue(matches: &mut ArgMatches) -> Result<Data, Failure> {
    let settings = Settings::resolve(matches)?;
    let scopes = matches.remove_many::<String>("scope").into_iter().flatten();
    let mut request = TokenRequest::new(scopes);
    if let Some(lifetime) = matches.remove_one::<Duration>("expires-in") {
        request = request.expires_in(lifetime);
    }
    let user: Option<CommunicationUserIdentifier> = matches.remove_one("user");
    let client = settings.client(user.as_ref())?;
    if let Some(user) = user {
        return Ok(Data::of_token(&client.issue_token(&user, request)?).of_user(&user, false));
    }
    interrupt::explain(CREATE_INTERRUPTED)?;
    let (user, token) = client.create_user_and_token(request)?;
    Ok(Data::of_token(&token).of_user(&user, true))
}

pub(crate) fn revoke(matches: &mut ArgMatches) -> Result<(), Failure> {
    let yes = matches.get_flag("yes");
    confirm::require_terminal(yes, "token revoke")?;
    let settings = Settings::resolve(matches)?;
    let user: Option<CommunicationUserIdentifier> = matches.remove_one("user");
    let user = user.ok_or_else(|| Failure::usage("--user is required"))?;
    confirm::ask(yes, &format!("Revoke all tokens of {user}?"))?;
    Ok(settings.client(Some(&user))?.revoke_tokens(&user)?)
}

pub(crate) fn exchange(matches: &mut ArgMatches) -> Result<Data, Failure> {
    let client = Settings::resolve(matches)?.client(None)?;
    let text = |name| matches.get_one(name).map(String::as_str).unwrap_or_default();
    let mut teams_token = text("teams-token").to_owned();
    if teams_token == "-" {
        teams_token = io::read_to_string(io::stdin())
            .map_err(|error| Failure::usage(format!("stdin cannot be read: {error}")))?;
    }
    let teams_token = teams_token.trim();
    let token =
        client.exchange_teams_user_token(teams_token, text("client"), text("teams-user"))?;
    Ok(Data::of_token(&token))
}
