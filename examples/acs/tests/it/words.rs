//! What each command does when all is well.

use std::time::Instant;

use acs_identity::emulator::{Emulator, Fault, Operation};
use serde_json::{Value, json};

use super::*;

#[test]
fn user_create() {
    let emulator = Emulator::start().unwrap();
    let created = acs(&emulator, &["user", "create"]);
    created.assert_printed(&printed_as_az_does(&emulator.users()[0]));
    acs(&emulator, &["user", "create", "--output", "tsv"])
        .assert_printed(&format!("{}\n", emulator.users()[1]));
    acs(&emulator, &["-o", "text", "user", "create"])
        .assert_printed(&format!("user_id: {}\n", emulator.users()[2]));
}

#[test]
fn a_table_has_columns() {
    let emulator = Emulator::start().unwrap();
    let created = acs(&emulator, &["user", "create", "-o", "table"]);
    let user = &emulator.users()[0];
    created.assert_printed(&format!("user_id\n{}\n{user}\n", "-".repeat(user.len())));
    let checked = acs(&emulator, &["check", "-o", "table"]).stdout;
    let lines: Vec<&str> = checked.lines().collect();
    let [names, rule, values] = lines[..] else { panic!("{checked}") };
    for (name, value) in [("api_version", "2023-10-01"), ("credential", "access key")] {
        let column = names.find(name).unwrap();
        assert!(values[column..].starts_with(value), "{checked}");
        assert!(rule[column..].starts_with("----------"), "{checked}");
    }
}

#[test]
fn check_online_proves_the_credential_and_leaves_nobody_behind() {
    let emulator = Emulator::builder().clock_behind(Duration::from_secs(3600)).start().unwrap();
    let checked = acs(&emulator, &["check", "--online", "-o", "text"]);
    assert_eq!((checked.stderr.as_str(), checked.code()), ("", Some(0)));
    let offset =
        checked.stdout.lines().find_map(|line| line.strip_prefix("clock_offset_seconds: "));
    assert!((-3601..=-3599).contains(&offset.unwrap().parse::<i64>().unwrap()), "{checked:?}");
    assert!(checked.stdout.contains("\nonline: credential accepted\n"), "{checked:?}");
    assert!(emulator.users().is_empty());

    let settings = format!("endpoint={};accesskey=d3Jvbmc=", emulator.endpoint());
    let checked = run(tool().args(["check", "--online", "--connection-string", &settings]));
    assert_eq!((checked.stdout.as_str(), checked.code()), ("", Some(3)), "{checked:?}");
    let settings = "endpoint=http://127.0.0.1:1;accesskey=d3Jvbmc=";
    let words = ["check", "--online", "--timeout", "1s", "--connection-string", settings];
    assert_eq!(run(tool().args(words)).code(), Some(1));
}

#[test]
fn completion_scripts_know_the_commands_and_options() {
    for (shell, sign) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef acs"),
        ("fish", "complete -c acs"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = run(tool().args(["completion", shell]));
        assert_eq!((script.stderr.as_str(), script.code()), ("", Some(0)));
        for word in [sign, "from-file", "token"] {
            assert!(script.stdout.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn each_request_is_a_line_if_asked_for_and_holds_no_secret() {
    let emulator = Emulator::start().unwrap();
    let user = &create_users(&emulator, 1)[0];
    let issued = acs(&emulator, &["token", "issue", "-v", "-s", "voip", "-u", user]);
    let (token, _) = printed_token(&issued);
    assert!(!issued.stderr.contains(&token));
    let lines: Vec<&str> = issued.stderr.lines().collect();
    let [settings, request] = lines[..] else { panic!("{issued:?}") };
    let endpoint = emulator.endpoint();
    let source = format!("access key from {QUICKSTART_VARIABLE}");
    assert_eq!(settings, format!("acs: {endpoint}, api-version 2023-10-01, {source}"));
    assert!(request.starts_with(&format!("acs: issue_token {user}: 200 in ")), "{request}");
    assert!(request.contains(" ms, attempts 1, client-request-id "), "{request}");
    let ids = File::new("verbose", user);
    let deleted = acs(&emulator, &["user", "delete", "-v", "-y", "--from-file", &ids]);
    assert!(deleted.stderr.contains(&format!("acs: delete_user {user}: 204 in ")), "{deleted:?}");
    assert_eq!(acs(&emulator, &["check", "-q", "-v"]).code(), Some(2));
}

#[test]
fn problems_are_in_color_where_it_is_wanted() {
    let problem = |colour: &str| run(tool().args(["check", "--color", colour])).stderr;
    assert!(problem("always").starts_with("\u{1b}[1;31macs:\u{1b}[0m no connection string"));
    // stderr is no terminal here.
    for colour in ["never", "auto"] {
        assert!(problem(colour).starts_with("acs: no connection string"));
    }
}

#[test]
fn token_issue() {
    let emulator = Emulator::start().unwrap();
    let user = &create_users(&emulator, 1)[0];
    let arguments = ["token", "issue", "--scope", "chat", "voip", "--user", user];
    let issued = acs(&emulator, &[&arguments[..], &["--expires-in", "1h30m"]].concat());
    let token = printed_token(&issued);
    issued.assert_printed(&format!(
        "{{\n  \"user_id\": \"{user}\",\n  \"token\": \"{}\",\n  \"expires_on\": \"{}\"\n}}\n",
        token.0, token.1
    ));
    assert!(emulator.is_token_valid(&token.0));
    assert_eq!(last_body(&emulator), json!({"scopes": ["chat", "voip"], "expiresInMinutes": 90}));

    let issued = acs(&emulator, &["token", "issue", "-s", "chat", "-s", "voip.join", "-u", user]);
    assert!(emulator.is_token_valid(&printed_token(&issued).0));
    assert_eq!(last_body(&emulator), json!({"scopes": ["chat", "voip.join"]}));
    assert_eq!(emulator.users(), [user.as_str()]);
}

#[test]
fn token_issue_creates_a_user_if_none_is_named() {
    let emulator = Emulator::start().unwrap();
    let issued = acs(&emulator, &["token", "issue", "--scope", "voip", "--output", "tsv"]);
    let values: Vec<&str> = issued.stdout.trim_end().split('\t').collect();
    let [user, token, expires_on] = values[..] else { panic!("{issued:?}") };
    issued.assert_printed(&format!("{user}\t{token}\t{expires_on}\n"));
    assert_eq!(emulator.users(), [user]);
    assert!(emulator.is_token_valid(token));
    assert!(expires_on.ends_with("+00:00"), "{expires_on}");

    let issued = acs(&emulator, &["token", "issue", "--scope", "voip", "--output", "text"]);
    let lines: Vec<&str> = issued.stdout.lines().collect();
    let [user, token, expires_on] = lines[..] else { panic!("{issued:?}") };
    assert_eq!(user, format!("user_id: {}", emulator.users()[1]));
    assert!(emulator.is_token_valid(token.strip_prefix("token: ").unwrap()));
    assert!(expires_on.starts_with("expires_on: 20"), "{expires_on}");
}

#[test]
fn token_revoke() {
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    let (user, token) = client.create_user_and_token(["voip"]).unwrap();
    acs(&emulator, &["token", "revoke", "--user", user.identifier(), "--yes"]).assert_printed("");
    assert!(!emulator.is_token_valid(token.token()));
    assert_eq!(emulator.users(), [user.identifier()]);
}

#[test]
fn token_exchange_also_in_the_words_of_az() {
    let emulator = Emulator::start().unwrap();
    let client = "11111111-2222-3333-4444-555555555555";
    let user = "66666666-7777-8888-9999-000000000000";
    emulator.accept_teams_token("eyJ.teams", client, user);
    for words in [
        ["exchange", "--teams-token", "--teams-user"],
        ["get-for-teams-user", "--aad-token", "--aad-user"],
    ] {
        let [command, token, teams_user] = words;
        let arguments =
            ["token", command, token, "eyJ.teams", "--client", client, teams_user, user];
        let exchanged = acs(&emulator, &arguments);
        let (token, expires_on) = printed_token(&exchanged);
        exchanged.assert_printed(&format!(
            "{{\n  \"token\": \"{token}\",\n  \"expires_on\": \"{expires_on}\"\n}}\n"
        ));
        assert_ne!(token, "eyJ.teams");
        assert_eq!(
            last_body(&emulator),
            json!({"token": "eyJ.teams", "appId": client, "userId": user})
        );
    }
}

#[test]
fn token_exchange_takes_the_token_from_stdin() {
    let emulator = Emulator::start().unwrap();
    let id = "11111111-2222-3333-4444-555555555555";
    emulator.accept_teams_token("eyJ.teams", id, id);
    let mut command = with_stdin(tool_for(&emulator), &File::new("teams-token", "eyJ.teams\r\n"));
    command.args(["token", "exchange", "--client", id, "--teams-user", id, "--teams-token", "-"]);
    assert_eq!(run(&mut command).code(), Some(0));
    assert_eq!(last_body(&emulator)["token"], "eyJ.teams");
}

#[test]
fn user_delete() {
    let emulator = Emulator::start().unwrap();
    let users = create_users(&emulator, 5);
    acs(&emulator, &["user", "delete", "--user", &users[0], "--yes"]).assert_printed("");
    assert_eq!(emulator.users(), users[1..]);
    let (several, repeated) = (["--user", &users[1], &users[2]], ["--user", &users[3], "-y"]);
    acs(&emulator, &[&["user", "delete"][..], &several, &repeated].concat()).assert_printed("");
    assert_eq!(emulator.users(), users[4..]);
}

#[test]
fn check_sends_nothing() {
    let emulator = Emulator::start().unwrap();
    acs(&emulator, &["check"]).assert_printed(&format!(
        "{{\n  \"endpoint\": \"{}\",\n  \"api_version\": \"2023-10-01\",\n  \"credential\": \"access key\",\n  \"settings_from\": \"{QUICKSTART_VARIABLE}\"\n}}\n",
        emulator.endpoint()
    ));
    assert_eq!(emulator.request_count(), 0);
}

#[test]
fn api_version_and_timeout_are_heeded() {
    let emulator = Emulator::start().unwrap();
    let created = acs(&emulator, &["user", "create", "--api-version", "2022-10-01"]);
    assert_eq!(created.code(), Some(0));
    assert!(emulator.requests()[0].target().ends_with("api-version=2022-10-01"));

    emulator.inject(Fault::stall().on(Operation::Create));
    let started = Instant::now();
    let late = acs(&emulator, &["--timeout", "1s", "user", "create"]);
    // Left to itself, the client waits for 18 s.
    assert!(started.elapsed() < Duration::from_secs(12));
    assert_eq!((late.stdout.as_str(), late.code()), ("", Some(1)));
    assert_eq!(late.stderr.lines().count(), 1, "{late:?}");
}

fn printed_token(ended: &Ended) -> (String, String) {
    let json: Value = serde_json::from_str(&ended.stdout).unwrap();
    let text = |key: &str| json[key].as_str().unwrap().to_owned();
    (text("token"), text("expires_on"))
}

fn last_body(emulator: &Emulator) -> Value {
    serde_json::from_slice(emulator.requests().last().unwrap().body()).unwrap()
}
