//! What to do about a response that is not a success.

use std::time::Duration;

use crate::error::ServiceError;
use crate::error::excerpt::excerpt;

/// How a request was authenticated, and so what a 401 can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authenticated {
    BearerToken,
    Signature,
    /// Dated with the service's time, which differs from this machine's clock.
    SignatureOfServiceTime,
}

/// The facts of an unsuccessful response that advice depends on.
pub(crate) struct Refusal<'a> {
    pub(crate) status: u16,
    pub(crate) service: &'a ServiceError,
    pub(crate) retry_after: Option<Duration>,
    /// The `Location` header.
    pub(crate) location: Option<&'a str>,
    pub(crate) authenticated: Authenticated,
    /// The clock skew in seconds, positive if the service is ahead, if it explains a 401.
    pub(crate) clock_skew: Option<i64>,
}

impl Refusal<'_> {
    pub(crate) fn advice(&self) -> Option<String> {
        let is_token = self.authenticated == Authenticated::BearerToken;
        let credential = if is_token { "bearer token" } else { "key" };
        let advice = match (self.status, self.service.code.as_deref()) {
            (401, Some("IdentityNotOwned")) => {
                return Some(format!(
                    "the id belongs to another resource, was deleted or never existed; the {credential} is not at fault"
                ));
            }
            (401, Some("InvalidAccessToken")) => {
                return Some(format!(
                    "the Teams user's Entra token has expired, is malformed or is for another audience; the {credential} is not at fault"
                ));
            }
            (401, Some("Denied")) if self.blames_the_body() => {
                "something in between, such as a proxy, changed the body"
            }
            (401, _) if is_token => {
                "check that the bearer token is for https://communication.azure.com and from the resource's tenant, and that its principal has a role on the resource"
            }
            (401, _) => {
                return Some(self.clock_advice().unwrap_or_else(|| {
                    "check that the endpoint and the access key belong to the same resource and that the key was not regenerated".to_owned()
                }));
            }
            (403, _) => "check the resource's role assignments and network rules",
            (400, Some("UnsupportedApiVersion")) => {
                "choose another api_version on the client's builder"
            }
            (400, _) if self.targets("scopes") => {
                "the scopes are chat, chat.join, chat.join.limited, voip and voip.join"
            }
            // The service's names for these differ from those of the arguments.
            (400, _) if self.targets("expiresInMinutes") => {
                "expires_in takes 60 minutes to 24 hours"
            }
            (400, _) if self.targets("appId") => {
                "client_id must be the id of the Entra application that the Teams user's token was issued to"
            }
            (400, _) if self.targets("userId") => {
                "user_object_id must be the Entra object id of the Teams user whose token it is"
            }
            (404, None) => {
                "check the endpoint: identities live at https://<resource>.communication.azure.com"
            }
            (429, _) => return Some(format!("the resource is throttled: {}", self.wait())),
            (300..=399, _) => return Some(self.redirect()),
            (503, _) if self.asks_to_wait() => {
                return Some(format!("{}; Microsoft's support asks for the ms-cv", self.wait()));
            }
            (500..=599, _) => "try again later; Microsoft's support asks for the ms-cv",
            _ => return None,
        };
        Some(advice.to_owned())
    }

    fn clock_advice(&self) -> Option<String> {
        let skew = self.clock_skew?;
        let direction = if skew.is_positive() { "behind" } else { "ahead of" };
        let consequence = if self.authenticated == Authenticated::SignatureOfServiceTime {
            "signing with the service's time did not help, so check the access key as well"
        } else {
            "set it right"
        };
        let difference = match skew.unsigned_abs() {
            seconds @ ..3_500 => format!("{seconds} s"),
            // A wrong time zone is easier to recognize in hours.
            seconds => format!("{seconds} s ({} h)", (seconds + 1_800) / 3_600),
        };
        Some(format!(
            "this machine's clock is {difference} {direction} the service's: {consequence}"
        ))
    }

    fn asks_to_wait(&self) -> bool {
        self.retry_after.is_some_and(|delay| !delay.is_zero())
    }

    /// Rounds up to whole seconds.
    fn wait(&self) -> String {
        match self.retry_after.filter(|delay| !delay.is_zero()) {
            Some(delay) => {
                let seconds = delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0));
                format!("wait {seconds} s before the next attempt")
            }
            None => "wait 30 s before the next attempt".to_owned(),
        }
    }

    fn redirect(&self) -> String {
        let authority = self
            .location
            .and_then(|url| url.split_once("://"))
            .and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
        // A part of a secret may stand before a slash, but has no dot.
        let host = authority.and_then(|authority| authority.rsplit('@').next());
        match host.filter(|host| host.contains('.')) {
            Some(host) => format!(
                "redirects are not followed (this one leads to {}): check the endpoint",
                excerpt(host)
            ),
            None => "redirects are not followed: check the endpoint".to_owned(),
        }
    }

    fn blames_the_body(&self) -> bool {
        let message = self.service.message.as_deref();
        message.is_some_and(|message| message.contains("x-ms-content-sha256"))
    }

    /// Ignores case: the service spells the target of a missing member differently from a wrong one.
    fn targets(&self, member: &str) -> bool {
        self.service.target.as_ref().is_some_and(|target| target.eq_ignore_ascii_case(member))
    }
}
