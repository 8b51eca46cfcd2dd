//! What to do about an answer that is no success.

use std::time::{Duration, SystemTime};

use ureq::http::{HeaderMap, StatusCode};

use crate::error::Answer;
use crate::excerpt::excerpt;
use crate::headers::date;

/// A difference between our clock and the answer's `Date` that explains a 401. The service does not
/// publish its tolerance.
pub(crate) const NOTABLE_CLOCK_DIFFERENCE: Duration = Duration::from_secs(4 * 60);

/// What a request proved with who it was from, and so what a 401 can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authenticated {
    Token,
    Signature,
    /// With the time of the service, which this machine's clock does not show.
    SignatureOfServiceTime,
}

/// An answer that is no success, as far as advice depends on it.
#[derive(Clone, Copy)]
pub(crate) struct Refusal<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) answer: &'a Answer,
    pub(crate) authenticated: Authenticated,
    /// When it arrived, by our clock.
    pub(crate) now: SystemTime,
}

impl Refusal<'_> {
    pub(crate) fn advice(&self) -> Option<String> {
        let Self { status, answer, .. } = *self;
        let is_token = self.authenticated == Authenticated::Token;
        let credential = if is_token { "bearer token" } else { "key" };
        let advice = match (status.as_u16(), answer.code.as_deref()) {
            (401, Some("IdentityNotOwned")) => {
                return Some(format!(
                    "the id is another resource's or was deleted; the {credential} is not at fault"
                ));
            }
            (401, Some("InvalidAccessToken")) => {
                return Some(format!(
                    "the Teams user's Entra token is expired, malformed or for another audience; the {credential} is not at fault"
                ));
            }
            (401, Some("Denied")) if blames_the_body(answer) => {
                "something on the way, such as a proxy, changed the body"
            }
            (401, _) if is_token => {
                "check that the bearer token is for https://communication.azure.com and of the resource's tenant, and that its owner has a role on the resource"
            }
            (401, _) => {
                return Some(self.clock_difference().unwrap_or_else(|| {
                    "check that the endpoint and the access key are of the same resource and that the key was not regenerated".to_owned()
                }));
            }
            (403, _) => "check that the resource lets this credential and this network in",
            (400, Some("UnsupportedApiVersion")) => {
                "choose another with api_version on the builder"
            }
            (400, _) if targets(answer, "scopes") => {
                "the scopes are chat, chat.join, chat.join.limited, voip and voip.join"
            }
            // The service's names of these are not those of the arguments.
            (400, _) if targets(answer, "appId") => {
                "client_id has to be the id of the Entra application that the Teams user's token was issued to"
            }
            (400, _) if targets(answer, "userId") => {
                "user_object_id has to be the Entra object id of the Teams user whose token it is"
            }
            (404, None) => {
                "check the endpoint: identities live at https://<resource>.communication.azure.com"
            }
            (429, _) => return Some(self.throttling()),
            (300..=399, _) => return Some(self.redirect()),
            (500..=599, _) => "try again later; Microsoft's support asks for the ms-cv",
            _ => return None,
        };
        Some(advice.to_owned())
    }

    fn clock_difference(&self) -> Option<String> {
        let theirs = date(self.headers)?;
        let (difference, direction) = match self.now.duration_since(theirs) {
            Ok(ahead) => (ahead, "ahead of"),
            Err(behind) => (behind.duration(), "behind"),
        };
        (difference > NOTABLE_CLOCK_DIFFERENCE).then(|| {
            let consequence = if self.authenticated == Authenticated::SignatureOfServiceTime {
                "signing with the service's time did not help, so check the access key as well"
            } else {
                "set it right"
            };
            format!(
                "this machine's clock is {} s {direction} the service's: {consequence}",
                difference.as_secs()
            )
        })
    }

    fn throttling(&self) -> String {
        match self.answer.retry_after.filter(|delay| !delay.is_zero()) {
            Some(delay) => format!("the resource is throttled: wait {delay:?} before the next try"),
            None => "the resource is throttled: wait half a minute before the next try".to_owned(),
        }
    }

    fn redirect(&self) -> String {
        let location = self.headers.get("location").and_then(|value| value.to_str().ok());
        let authority = location
            .and_then(|url| url.split_once("://"))
            .and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
        match authority.and_then(|authority| authority.rsplit('@').next()) {
            Some(host) => format!(
                "redirects are not followed (this one leads to {}): check the endpoint",
                excerpt(host)
            ),
            None => "redirects are not followed: check the endpoint".to_owned(),
        }
    }
}

fn blames_the_body(answer: &Answer) -> bool {
    answer.message.as_ref().is_some_and(|message| message.contains("x-ms-content-sha256"))
}

/// In any case: a member that is missing is spelled differently from one that is wrong.
fn targets(answer: &Answer, member: &str) -> bool {
    answer.target.as_ref().is_some_and(|target| target.eq_ignore_ascii_case(member))
}
