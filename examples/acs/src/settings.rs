//! Where to send requests, and what to sign them with.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use acs_identity::{
    ApiVersion, CommunicationIdentityClient, CommunicationUserIdentifier, ConnectionString,
    Credential, Endpoint, Error, RetryPolicy,
};

use crate::failure::{Exit, Failure};
use crate::output::{self, Record};
use crate::{tls, token_command};

/// Microsoft's quickstarts', and az's.
const VARIABLES: [&str; 2] =
    ["COMMUNICATION_SERVICES_CONNECTION_STRING", "AZURE_COMMUNICATION_CONNECTION_STRING"];

/// The library's own.
const PATIENCE: Duration = Duration::from_secs(100);

/// What the command line says.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) connection_string: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) token_command: Option<String>,
    pub(crate) api_version: Option<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) ca_file: Option<PathBuf>,
}

pub(crate) struct Settings {
    endpoint: Endpoint,
    credential: Credential,
    credential_kind: &'static str,
    source: &'static str,
    api_version: Option<ApiVersion>,
    timeout: Option<Duration>,
    /// A file of root certificates, and who names it.
    ca_file: Option<(&'static str, PathBuf)>,
}

const ACCESS_KEY: &str = "access key";

/// A user of no resource.
const NOBODY: &str =
    "8:acs:00000000-0000-0000-0000-000000000000_00000000-0000-0000-0000-000000000000";

impl Settings {
    /// The command line comes first, then the variables in their order; one that is empty counts as
    /// not set, as CI systems leave it for a secret that is missing.
    pub(crate) fn resolve(
        given: Given,
        variable: impl Fn(&'static str) -> Option<OsString>,
    ) -> Result<Self, Failure> {
        let Given { connection_string, endpoint, token_command, api_version, timeout, ca_file } =
            given;
        let api_version = api_version.map(ApiVersion::from);
        let ca_file = tls::ca_file(ca_file, &variable);
        let make = |endpoint, credential, credential_kind, source| Self {
            endpoint,
            credential,
            credential_kind,
            source,
            api_version,
            timeout,
            ca_file,
        };
        let parse = |source, text: &str| {
            let settings = text.parse::<ConnectionString>();
            settings.map(ConnectionString::into_parts).map_err(|error| refused(source, &error))
        };
        match (connection_string, endpoint, token_command) {
            (Some(text), None, None) => {
                let source = "--connection-string";
                let (endpoint, key) = parse(source, &text)?;
                Ok(make(endpoint, key.into(), ACCESS_KEY, source))
            }
            (Some(_), _, _) => Err(Failure::usage(
                "--connection-string goes without --endpoint and --token-command: leave out one or the other",
            )),
            (None, Some(endpoint), Some(command)) => {
                let source = "--endpoint";
                let endpoint = endpoint.parse().map_err(|error| refused(source, &error))?;
                // It is part of the call that it is run for.
                let limit = timeout.unwrap_or(token_command::LIMIT).min(token_command::LIMIT);
                let run = move |_scope: &str| token_command::run(&command, limit);
                Ok(make(endpoint, Credential::bearer(run), "bearer token", source))
            }
            (None, Some(_), None) => Err(Failure::usage(
                "--endpoint needs --token-command, which prints a bearer token (an access key comes with --connection-string)",
            )),
            (None, None, Some(_)) => Err(Failure::usage(
                "--token-command needs --endpoint, such as https://<resource>.communication.azure.com",
            )),
            (None, None, None) => {
                for name in VARIABLES {
                    let Some(text) = variable(name).filter(|text| !text.is_empty()) else {
                        continue;
                    };
                    let Ok(text) = text.into_string() else {
                        return Err(Failure::usage(format!("{name} is not UTF-8: set it anew")));
                    };
                    let (endpoint, key) = parse(name, &text)?;
                    return Ok(make(endpoint, key.into(), ACCESS_KEY, name));
                }
                let [first, second] = VARIABLES;
                Err(Failure::usage(format!(
                    "no connection string: give --connection-string, or set {first} or {second}"
                )))
            }
        }
    }

    /// A client for one call, about a user or about none.
    pub(crate) fn client(
        &self,
        user: Option<&CommunicationUserIdentifier>,
    ) -> Result<CommunicationIdentityClient, Failure> {
        Ok(watched(&self.build(RetryPolicy::default())?, user))
    }

    /// For whoever knows better when to try again.
    pub(crate) fn client_without_retries(&self) -> Result<CommunicationIdentityClient, Failure> {
        self.build(RetryPolicy::none())
    }

    /// How long a service may be out of reach: what a call would give it.
    pub(crate) fn patience(&self) -> Duration {
        self.timeout.unwrap_or(PATIENCE)
    }

    pub(crate) fn host(&self) -> &str {
        self.endpoint.host()
    }

    fn build(&self, retry_policy: RetryPolicy) -> Result<CommunicationIdentityClient, Failure> {
        let mut builder =
            CommunicationIdentityClient::builder(self.endpoint.clone(), self.credential.clone())
                .api_version(self.version())
                .retry_policy(retry_policy.deadline(self.patience()));
        if let Some((source, path)) = self.ca_file.as_ref().filter(|_| self.is_https()) {
            builder = builder.root_certificates(tls::read(source, path)?);
        }
        if output::is_verbose() {
            let (endpoint, version) = (&self.endpoint, self.version());
            let (kind, source) = (self.credential_kind, self.source);
            output::note(&format!("{endpoint}, api-version {version}, {kind} from {source}"));
        }
        Ok(builder.build()?)
    }

    /// What `acs check` prints. Making the client checks what is left to check; online, a token for
    /// nobody is asked for, which only a credential that was accepted can be refused for.
    pub(crate) fn describe(&self, online: bool) -> Result<Record, Failure> {
        let client = self.client(None)?;
        let mut fields = vec![
            ("endpoint", client.endpoint().to_string()),
            ("api_version", self.version().to_string()),
            ("credential", self.credential_kind.to_owned()),
            ("settings_from", self.source.to_owned()),
        ];
        if online {
            let started = Instant::now();
            let refused = client.issue_token(&NOBODY.parse()?, ["chat"]).map_err(Failure::from);
            if let Err(failure) = refused
                && failure.exit != Exit::NotFound
            {
                return Err(failure);
            }
            fields.push(("online", "credential accepted".to_owned()));
            fields.push(("milliseconds", started.elapsed().as_millis().to_string()));
            fields.push(("clock_offset_seconds", client.clock_offset_seconds().to_string()));
        }
        Ok(Record::new(fields))
    }

    fn is_https(&self) -> bool {
        self.endpoint.to_string().starts_with("https:")
    }

    fn version(&self) -> ApiVersion {
        self.api_version.clone().unwrap_or_default()
    }
}

/// With a line for each call where `-v` asks for it.
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

fn refused(source: &str, error: &Error) -> Failure {
    Failure::usage(format!("{source}: {error}"))
}
