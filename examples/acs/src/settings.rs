//! Where to send requests, and what to sign them with.

use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use acs_identity::{
    ApiVersion, CommunicationIdentityClient, CommunicationUserIdentifier, ConnectionString,
    Credential, Endpoint, Error, RetryPolicy,
};
use clap::{Arg, ArgMatches, value_parser};

use crate::cli::option;
use crate::failure::{Exit, Failure, is_from_service};
use crate::output::{self, Data};
use crate::progress::LONG_WAIT;
use crate::{duration, token_command};

/// The variables of Microsoft's quickstarts and of az.
const CONNECTION_STRING: [&str; 2] =
    ["COMMUNICATION_SERVICES_CONNECTION_STRING", "AZURE_COMMUNICATION_CONNECTION_STRING"];

/// The variable of OpenSSL and curl.
const CA_FILE: &str = "SSL_CERT_FILE";

/// The library's default.
const TIMEOUT: Duration = Duration::from_secs(100);

pub(crate) struct Settings {
    endpoint: Endpoint,
    credential: Credential,
    credential_kind: &'static str,
    source: &'static str,
    api_version: ApiVersion,
    pub(crate) timeout: Duration,
    /// A file of root certificates, and the name of its setting.
    ca_file: Option<(PathBuf, &'static str)>,
}

/// A user of no resource.
const NOBODY: &str =
    "8:acs:00000000-0000-0000-0000-000000000000_00000000-0000-0000-0000-000000000000";

impl Settings {
    pub(crate) fn options() -> [Arg; 6] {
        [
            option("connection-string", "TEXT")
                .help("endpoint=https://...;accesskey=..., from the portal's Keys page"),
            option("endpoint", "URL").help("The resource's address, with --token-command"),
            option("token-command", "COMMAND")
                .help("Run in the shell; prints a bearer token, bare or as az's JSON, within 60 s and --timeout"),
            option("api-version", "VERSION")
                .help("The version of the service's interface [default: 2023-10-01]"),
            option("ca-file", "FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Trust the root certificates of a PEM file instead of Mozilla's [default: SSL_CERT_FILE]"),
            option("timeout", "TIME")
                .value_parser(duration::parse)
                .help("How long a request may take, with retries and --token-command [default: 100s]"),
        ]
        .map(|option| option.global(true).help_heading("Settings"))
    }

    /// Reads the command line first, then the variables in their order.
    pub(crate) fn resolve(matches: &mut ArgMatches) -> Result<Self, Failure> {
        let timeout = matches.remove_one("timeout").unwrap_or(TIMEOUT);
        let mut text = |name| matches.remove_one::<String>(name);
        let api_version = text("api-version").map(ApiVersion::from).unwrap_or_default();
        let given = [text("connection-string"), text("endpoint"), text("token-command")];
        // An empty variable counts as unset.
        let ca_variable = || env::var_os(CA_FILE).filter(|path| !path.is_empty());
        let ca_file = matches
            .remove_one("ca-file")
            .map(|path| (path, "--ca-file"))
            .or_else(|| Some((ca_variable()?.into(), CA_FILE)));
        let make = |endpoint: Endpoint, credential, credential_kind, source| Self {
            // Plain http needs no certificates.
            ca_file: ca_file.filter(|_| endpoint.to_string().starts_with("https:")),
            endpoint,
            credential,
            credential_kind,
            source,
            api_version,
            timeout,
        };
        let (text, source) = match given.into() {
            (Some(text), None, None) => (text, "--connection-string"),
            (None, None, None) => connection_string_from_env()?,
            (None, Some(endpoint), Some(command)) => {
                let source = "--endpoint";
                let endpoint = endpoint.parse().map_err(|error| rejected(source, &error))?;
                // The command runs within the call that needs the token.
                let limit = timeout.min(token_command::LIMIT);
                let run = move |_scope: &str| token_command::run(&command, limit);
                return Ok(make(endpoint, Credential::bearer(run), "bearer token", source));
            }
            _ => {
                return Err(Failure::usage(
                    "give either --connection-string, or --endpoint and --token-command together",
                ));
            }
        };
        let settings: ConnectionString = text.parse().map_err(|error| rejected(source, &error))?;
        let (endpoint, key) = settings.into_parts();
        Ok(make(endpoint, key.into(), "access key", source))
    }

    /// Creates a client for one call, about a user or about none. It reports long waits.
    pub(crate) fn client(
        &self,
        user: Option<&CommunicationUserIdentifier>,
    ) -> Result<CommunicationIdentityClient, Failure> {
        let client = watched(&self.build(RetryPolicy::default())?, user);
        Ok(client.on_retry(|error, delay| {
            if delay >= LONG_WAIT {
                output::inform(&format!("next attempt in {}: {error}", duration::show(delay)));
            }
        }))
    }

    pub(crate) fn host(&self) -> &str {
        self.endpoint.host()
    }

    pub(crate) fn build(
        &self,
        retry_policy: RetryPolicy,
    ) -> Result<CommunicationIdentityClient, Failure> {
        let mut builder =
            CommunicationIdentityClient::builder(self.endpoint.clone(), self.credential.clone())
                .api_version(self.api_version.clone())
                .retry_policy(retry_policy.deadline(self.timeout));
        if let Some((path, source)) = &self.ca_file {
            builder = builder.root_certificates(read_certificates(source, path)?);
        }
        let client = builder.build()?;
        if output::is_verbose() {
            let Self { endpoint, api_version, credential_kind, source, .. } = self;
            let others = [
                self.ca_file_text().map(|text| format!(", root certificates of {text}")),
                proxy(&client).map(|text| format!(", proxy {text}")),
            ];
            let others: String = others.into_iter().flatten().collect();
            output::note(&format!(
                "{endpoint}, api-version {api_version}, {credential_kind} from {source}{others}"
            ));
        }
        Ok(client)
    }

    /// Checks the settings by creating the client, and with `online` by asking the service.
    pub(crate) fn check(&self, online: bool) -> Result<Data, Failure> {
        let client = self.client(None)?;
        let started = Instant::now();
        if online {
            self.prove_credential(&client)?;
        }
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Data::new([
            ("endpoint", self.endpoint.to_string().into()),
            ("api_version", self.api_version.to_string().into()),
            ("credential", self.credential_kind.into()),
            ("settings_from", self.source.into()),
            ("ca_file", self.ca_file_text().into()),
            ("proxy", proxy(&client).into()),
            ("online", online.then_some("credential accepted").into()),
            ("milliseconds", online.then_some(millis).into()),
            ("clock_offset_seconds", online.then(|| client.clock_offset_seconds()).into()),
        ]))
    }

    /// Requests a token for nobody. Only a service that has accepted the credential knows that.
    fn prove_credential(&self, client: &CommunicationIdentityClient) -> Result<(), Failure> {
        let Err(error) = client.issue_token(&NOBODY.parse()?, ["chat"]) else {
            let problem = "issued a token for a user who does not exist: it is not the service";
            return Err(Failure::new(Exit::Service, format!("{} {problem}", self.host())));
        };
        if error.code() == Some("IdentityNotOwned") {
            return Ok(());
        }
        let origin = match error.azure_ref().filter(|id| !id.is_empty()) {
            _ if error.status().is_none() || is_from_service(&error) => "",
            Some(_) => "; the response seems to come from Azure Front Door, not from the service",
            None => {
                "; the response seems to come from a proxy, a gateway or another server, not from the service"
            }
        };
        let Failure { exit, message } = error.into();
        Err(Failure::new(exit, message + origin))
    }

    fn ca_file_text(&self) -> Option<String> {
        let (path, source) = self.ca_file.as_ref()?;
        Some(format!("{} ({source})", output::name(path)))
    }
}

fn connection_string_from_env() -> Result<(String, &'static str), Failure> {
    let mut empty = None;
    for name in CONNECTION_STRING {
        match env::var_os(name).map(OsString::into_string) {
            None => {}
            Some(Ok(text)) if text.is_empty() => empty = empty.or(Some(name)),
            Some(Ok(text)) => return Ok((text, name)),
            Some(Err(_)) => {
                return Err(Failure::usage(format!("{name} is not UTF-8: set it again")));
            }
        }
    }
    let [first, second] = CONNECTION_STRING;
    Err(Failure::usage(match empty {
        Some(name) => format!(
            "{name} is empty (in CI, the secret may be missing or withheld from forks): set it, or give --connection-string"
        ),
        None => format!(
            "no connection string: copy it from the portal's Keys page, and set {first} or {second}, or give --connection-string"
        ),
    }))
}

/// Returns a client that writes a line for each call if `-v` was given.
pub(crate) fn watched(
    client: &CommunicationIdentityClient,
    user: Option<&CommunicationUserIdentifier>,
) -> CommunicationIdentityClient {
    if !output::is_verbose() {
        return client.clone();
    }
    let user = user.map(|user| format!(" {user}")).unwrap_or_default();
    client.observed(move |call| {
        let status = call.status().map_or("no response".to_owned(), |status| status.to_string());
        output::note(&format!(
            "{}{user}: {status} in {} ms, attempts {}, client-request-id {}, ms-cv {}, x-azure-ref {}",
            call.operation(),
            call.elapsed().as_millis(),
            call.attempts(),
            call.client_request_id(),
            call.ms_cv().unwrap_or("none"),
            call.azure_ref().unwrap_or("none"),
        ));
    })
}

/// Returns the proxy in effect without its login, and the variable that names it.
fn proxy(client: &CommunicationIdentityClient) -> Option<String> {
    let variable = client.proxy_variable()?;
    let url = env::var(variable).ok()?;
    let rest = url.split_once("://").map_or(&*url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    Some(format!("{} ({variable})", host.trim()))
}

/// Reads the certificates of a PEM file.
fn read_certificates(source: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    const MARK: &[u8] = b"-----BEGIN CERTIFICATE-----";
    let rejected = |problem: &dyn Display| {
        Failure::usage(format!("{source}: {}: {problem}", output::name(path)))
    };
    let pem = fs::read(path).map_err(|error| rejected(&error))?;
    if !pem.windows(MARK.len()).any(|text| text == MARK) {
        return Err(rejected(&"no certificate found: expected PEM"));
    }
    Ok(pem)
}

fn rejected(source: &str, error: &Error) -> Failure {
    Failure::usage(format!("{source}: {error}"))
}
