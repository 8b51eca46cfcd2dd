//! Where to send requests, and what to sign them with.

use std::ffi::OsString;
use std::time::Duration;

use acs_identity::{
    ApiVersion, CommunicationIdentityClient, ConnectionString, Credential, Endpoint, Error,
    RetryPolicy,
};

use crate::failure::Failure;
use crate::output::Record;
use crate::token_command;

/// Microsoft's quickstarts', and az's.
const VARIABLES: [&str; 2] =
    ["COMMUNICATION_SERVICES_CONNECTION_STRING", "AZURE_COMMUNICATION_CONNECTION_STRING"];

/// What the command line says.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) connection_string: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) token_command: Option<String>,
    pub(crate) api_version: Option<String>,
    pub(crate) timeout: Option<Duration>,
}

pub(crate) struct Settings {
    endpoint: Endpoint,
    credential: Credential,
    credential_kind: &'static str,
    source: &'static str,
    api_version: Option<ApiVersion>,
    timeout: Option<Duration>,
}

impl Settings {
    /// The command line comes first, then the variables in their order; one that is empty counts as
    /// not set, as CI systems leave it for a secret that is missing.
    pub(crate) fn resolve(
        given: Given,
        variable: impl Fn(&'static str) -> Option<OsString>,
    ) -> Result<Self, Failure> {
        let Given { connection_string, endpoint, token_command, api_version, timeout } = given;
        let api_version = api_version.map(ApiVersion::from);
        let from_key = |source, text: &str| {
            let settings = text.parse::<ConnectionString>();
            let (endpoint, key) = settings.map_err(|error| refused(source, &error))?.into_parts();
            let (credential, credential_kind) = (key.into(), "access key");
            let api_version = api_version.clone();
            Ok(Self { endpoint, credential, credential_kind, source, api_version, timeout })
        };
        match (connection_string, endpoint, token_command) {
            (Some(text), None, None) => from_key("--connection-string", &text),
            (Some(_), _, _) => Err(Failure::usage(
                "--connection-string goes without --endpoint and --token-command: leave out one or the other",
            )),
            (None, Some(endpoint), Some(command)) => {
                let source = "--endpoint";
                let endpoint = endpoint.parse().map_err(|error| refused(source, &error))?;
                // It is part of the call that it is run for.
                let limit = timeout.unwrap_or(token_command::LIMIT).min(token_command::LIMIT);
                let run = move |_scope: &str| token_command::run(&command, limit);
                let (credential, credential_kind) = (Credential::bearer(run), "bearer token");
                Ok(Self { endpoint, credential, credential_kind, source, api_version, timeout })
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
                    return from_key(name, &text);
                }
                let [first, second] = VARIABLES;
                Err(Failure::usage(format!(
                    "no connection string: give --connection-string, or set {first} or {second}"
                )))
            }
        }
    }

    /// Speaks the one version that knows custom ids; the library would refuse others in words for
    /// programmers.
    pub(crate) fn for_custom_ids(mut self) -> Result<Self, Failure> {
        const NEEDED: ApiVersion = ApiVersion::V2025_03_02_PREVIEW;
        if *self.api_version.get_or_insert(NEEDED) == NEEDED {
            return Ok(self);
        }
        Err(Failure::usage(format!("--custom-id needs --api-version {NEEDED} (or none)")))
    }

    pub(crate) fn client(&self) -> Result<CommunicationIdentityClient, Failure> {
        let mut builder =
            CommunicationIdentityClient::builder(self.endpoint.clone(), self.credential.clone())
                .api_version(self.version());
        if let Some(timeout) = self.timeout {
            builder = builder.retry_policy(RetryPolicy::default().deadline(timeout));
        }
        Ok(builder.build()?)
    }

    /// What `acs check` prints. Making the client checks what is left to check, and sends nothing.
    pub(crate) fn describe(&self) -> Result<Record, Failure> {
        let client = self.client()?;
        Ok(Record::new(vec![
            ("endpoint", client.endpoint().to_string()),
            ("api_version", self.version().to_string()),
            ("credential", self.credential_kind.to_owned()),
            ("settings_from", self.source.to_owned()),
        ]))
    }

    fn version(&self) -> ApiVersion {
        self.api_version.clone().unwrap_or_default()
    }
}

fn refused(source: &str, error: &Error) -> Failure {
    Failure::usage(format!("{source}: {error}"))
}
