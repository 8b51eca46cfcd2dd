//! Help, misspelt words, and what is not even tried.

use acs_identity::emulator::Emulator;

use super::*;

#[test]
fn help_exists_for_every_command() {
    for words in [
        &[][..],
        &["user"],
        &["user", "create"],
        &["user", "delete"],
        &["token"],
        &["token", "issue"],
        &["token", "revoke"],
        &["token", "exchange"],
        &["token", "get-for-teams-user"],
        &["check"],
        &["completion"],
        &["emulator"],
    ] {
        let help = run(tool().args(words).arg("--help"));
        assert_eq!((help.code(), help.stderr.as_str()), (Some(0), ""), "{words:?}");
        assert!(help.stdout.contains("\nUsage: acs"), "{words:?}");
        // The settings are in one place.
        let has_settings = help.stdout.contains("--connection-string <TEXT>");
        assert_eq!(has_settings, words.is_empty(), "{words:?}");
        let short = run(tool().args(words).arg("-h")).stdout;
        let is_long = help.stdout.lines().count() > 30;
        assert!(!is_long || short.len() < help.stdout.len() * 3 / 4, "{words:?}");
        for columns in [40, 80, 300] {
            let help = run(tool().args(words).arg("--help").env("COLUMNS", columns.to_string()));
            // A word that is longer than the line, such as a variable's name, stays whole, and clap
            // leaves the usage in one line, and an option with its values.
            let too_wide = help.stdout.lines().find(|line| {
                line.chars().count() > columns.min(100)
                    && line.trim().contains(' ')
                    && !line.starts_with("Usage: ")
                    && !line.contains("> <")
            });
            assert_eq!(too_wide, None, "{words:?}");
        }
    }
}

#[test]
fn help_names_exit_codes_variables_and_the_risk_of_arguments() {
    let help = run(tool().arg("--help").env("COLUMNS", "100")).stdout;
    for line in [
        "  0    done",
        "  1    the service failed or could not be reached, or output could not be written",
        "  3    the credential was rejected or could not be obtained",
        "  4    throttled: try again later",
        "  5    not found: no such user, or another resource's",
        "  130  interrupted (143: by TERM)",
    ] {
        assert!(help.lines().any(|each| each == line), "{line}");
    }
    assert!(help.contains(QUICKSTART_VARIABLE) && help.contains(AZ_VARIABLE));
    assert!(help.contains("prefer the variables") && help.contains("within 60 s and --timeout"));
    let help = run(tool().args(["check", "--help"])).stdout;
    assert!(help.contains("Nothing is created, changed or billed"));
}

/// A line break within the quotes would make two commands of it.
#[test]
fn help_has_an_entra_example_that_can_be_pasted() {
    let help = run(tool().arg("--help").env("COLUMNS", "80")).stdout;
    let example = help.split("acs check --endpoint ").nth(1).unwrap();
    let [endpoint, token_command, ..] = &example.lines().collect::<Vec<_>>()[..] else { panic!() };
    assert!(endpoint.ends_with(" --token-command \\"), "{endpoint}");
    let token_command = token_command.trim_start();
    assert!(token_command.starts_with("'az ") && token_command.ends_with("/'"), "{token_command}");
}

#[test]
fn incomplete_command_gets_help_and_fails() {
    for words in [&[][..], &["user"], &["token"]] {
        let ended = run(tool().args(words));
        assert_eq!((ended.code(), ended.stdout.as_str()), (Some(2), ""), "{words:?}");
        assert!(ended.stderr.contains("\nUsage: acs"), "{ended:?}");
    }
}

#[test]
fn misspelled_words_get_a_suggestion() {
    for (words, tip) in [
        (&["tokne"][..], "tip: a similar subcommand exists: 'token'"),
        (&["user", "craete"], "tip: a similar subcommand exists: 'create'"),
        (&["token", "issue", "--scop", "voip"], "tip: a similar argument exists: '--scope'"),
        (&["check", "--output", "jsn"], "tip: a similar value exists: 'json'"),
    ] {
        let ended = run(tool().args(words));
        assert_eq!((ended.code(), ended.stdout.as_str()), (Some(2), ""), "{words:?}");
        assert!(ended.stderr.contains(tip), "{ended:?}");
    }
}

#[test]
fn bad_usage_sends_nothing() {
    let emulator = Emulator::start().unwrap();
    let time = "for '--timeout <TIME>': expected a time such as 2h, 90m, 1h30m, 20s or 250ms";
    for (words, error) in [
        (&["token", "issue"][..], "error: the following required arguments were not provided:"),
        (&["user", "delete", "-y"], "error: the following required arguments were not provided:"),
        (
            &["user", "delete", "-y", "-u", "8:acs:a", "--from-file", "b"],
            "error: the argument '--user <ID>...' cannot be used with '--from-file <FILE>'",
        ),
        (
            &["user", "delete", "-y", "-u", "8:acs:a", "--query", "deleted"],
            "error: the argument '--user <ID>...' cannot be used with '--query <NAME>'",
        ),
        (
            &["user", "delete", "-y", "-u", "4:+15551234567"],
            "error: invalid value '4:+15551234567' for '--user <ID>...': user id is a phone number: expected 8:acs:<resource>_<user>",
        ),
        (
            &["token", "issue", "-s", "voip", "--expires-in", "90"],
            "error: invalid value '90' for '--expires-in <TIME>': expected a time such as 2h, 90m, 1h30m, 20s or 250ms",
        ),
        (
            &["token", "issue", "-s", "voip", "--expires-in", "9999999999999999999h"],
            "error: invalid value '9999999999999999999h' for '--expires-in <TIME>': expected a time such as 2h, 90m, 1h30m, 20s or 250ms",
        ),
        (
            &["token", "issue", "-s", "voip", "--expires-in", "61m1s"],
            "acs: expires_in is 3661s: expected whole minutes, at least one (the service accepts 60 to 1440)",
        ),
        (
            &["token", "issue", "-s", "voip", "--user", "alice"],
            "error: invalid value 'alice' for '--user <ID>': not a user id: expected 8:acs:<resource>_<user> and nothing else",
        ),
        (
            &["token", "revoke", "-y", "--user", "8:acs:"],
            "error: invalid value '8:acs:' for '--user <ID>': not a user id: expected 8:acs:<resource>_<user> and nothing else",
        ),
        (
            &["user", "delete", "-y", "--user", "8:acs:a\x1b[2J"],
            "error: invalid value '8:acs:a[2J' for '--user <ID>...': user id has control characters in it: expected 8:acs:<resource>_<user>",
        ),
        (
            &["token", "issue", "-s", "voice"],
            "error: invalid value 'voice' for '--scope <SCOPE>...'",
        ),
        (
            &["token", "issue", "-s", "voip", "--query", "tokens"],
            "error: invalid value 'tokens' for '--query <NAME>'",
        ),
        (&["check", "-o", "table"], "error: invalid value 'table' for '--output <FORMAT>'"),
        (
            &["check", "--api-version", "2023/10/01"],
            "acs: api_version is malformed: expected a date such as 2023-10-01",
        ),
        (&["check", "--timeout", "0s"], "acs: timeouts must be greater than zero"),
        (&["check", "--timeout", "1.5"], &format!("error: invalid value '1.5' {time}")),
        (&["check", "--timeout", ""], &format!("error: invalid value '' {time}")),
        (&["check", "--timeout", "h"], &format!("error: invalid value 'h' {time}")),
        (
            &["user", "delete", "-u", "8:acs:a"],
            "acs: user delete needs --yes where there is no terminal to ask on",
        ),
        (
            &["user", "delete", "--from-file", "-"],
            "acs: user delete needs --yes where there is no terminal to ask on",
        ),
        (
            &["token", "revoke", "-u", "8:acs:a"],
            "acs: token revoke needs --yes where there is no terminal to ask on",
        ),
        (
            &["user", "delete", "-y", "--from-file", "no/such/file"],
            &format!("acs: no/such/file cannot be read: {}", no_such_file()),
        ),
    ] {
        let ended = acs(&emulator, words);
        assert_eq!((ended.code(), ended.stdout.as_str()), (Some(2), ""), "{words:?}");
        assert_eq!(ended.stderr.lines().next(), Some(error));
    }
    for time in ["250ms", "1m1ms", "1h30m", "1.5h"] {
        assert_eq!(acs(&emulator, &["check", "--timeout", time]).code(), Some(0));
    }
    assert_eq!(emulator.request_count(), 0);
}

#[test]
fn secret_in_the_wrong_place_is_not_repeated() {
    let key = "Q0FOQVJZ".repeat(11);
    let settings = format!("endpoint=https://contoso.communication.azure.com/;accesskey={key}");
    let misspelt = format!("--conection-string={settings}");
    let (long, short) = (format!("--output={settings}"), format!("-o{key}"));
    let bad_version = format!("--api-version={settings}");
    let ids = File::new("one-id", "8:acs:a");
    for words in [
        &[&*settings][..],
        &["endpoint=https://x/;AccessKey=Q0FOQVJZ"],
        &[&*key],
        &["check", &settings],
        &["check", &misspelt],
        &["check", "--output", &settings],
        &["check", &long],
        &["check", &short],
        &["check", "--endpoint", &settings, "--token-command", "true"],
        &["check", "--connection-string", &key],
        &["check", "--connection-string", &settings[1..]],
        &["check", "--connection-string", "endpoint=https://x/;accesskey=Q0FOQVJZQ", &bad_version],
        &["user", "create", &key],
        &["user", "delete", "--yes", &key],
        &["user", "delete", "--yes", "--user", &format!("4:{key}")],
        &["token", "issue", "--scope", "voip", "--expires-in", &key],
        &["user", "delete", "--yes", "--from-file", &settings],
        &["user", "delete", "--yes", "--from-file", &key],
        &["user", "delete", "--yes", "--from-file", "eyJhbGciOiJSUzI1NiJ9.Q0FOQVJZ"],
        &["user", "delete", "--yes", "--from-file", &*ids, "--done", &settings],
        &["user", "create", "--connection-string", &settings, "--ca-file", &settings],
        &["completion", &settings],
        // A key of the emulator may be short.
        &["check", "Q0FOQVJZ"],
        &["emulator", "Q0FOQVJZ"],
        &["emulator", "--tls=Q0FOQVJZ"],
        &["emulator", "--Q0FOQVJZ"],
        &["emulator", "--acess-key=Q0FOQVJZ"],
        &["emulator", "--access-key", "Q0FOQVJZ!"],
        &["emulator", "--teams-token", "Q0FOQVJZ", "a"],
    ] {
        let ended = run(tool().args(words));
        assert_eq!((ended.code(), ended.stdout.as_str()), (Some(2), ""), "{words:?}");
        assert!(!ended.stderr.contains("Q0FOQVJZ"), "{ended:?}");
    }
    // A user's id is no secret, and long.
    let id = format!("8:acs:{}", "a".repeat(73));
    assert!(run(tool().args(["user", "delete", &id])).stderr.contains(&id));
}
