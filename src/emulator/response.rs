//! A response: its status, its headers in the order and spelling of the real service, its bytes.

use std::borrow::Cow;
use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use ureq::http::StatusCode;

use super::json;
use super::random::Random;
use super::request::has_token;
use crate::timestamp;

/// What is sent back for one request.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    headers: Vec<(Cow<'static, str>, String)>,
    body: Vec<u8>,
    framing: Framing,
}

/// How the reader learns where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// 204, and what a fault frames by itself.
    None,
    Length,
    Chunked,
}

/// An error of the service.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) target: Option<&'static str>,
    /// Whether the layer that responds sends `api-supported-versions`.
    pub(super) advertises: bool,
    /// What the record says where the message does not tell.
    pub(super) explanation: Option<String>,
}

/// The bytes of a response.
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    head: usize,
}

impl Problem {
    pub(super) fn validation(
        message: impl Into<String>,
        target: impl Into<Option<&'static str>>,
    ) -> Self {
        Self::new(400, "ValidationError", message, target)
    }

    pub(super) fn new(
        status: u16,
        code: &'static str,
        message: impl Into<String>,
        target: impl Into<Option<&'static str>>,
    ) -> Self {
        let (message, target) = (message.into(), target.into());
        Self { status, code, message, target, advertises: false, explanation: None }
    }

    // Ours: an empty body, as web servers respond where no operation is.
    pub(super) fn unrouted(status: u16, explanation: impl Into<String>) -> Self {
        Self::new(status, "", "", None).explained(explanation.into())
    }

    /// The handler responds, not the layer that binds the request to it.
    pub(super) fn advertising(self) -> Self {
        Self { advertises: true, ..self }
    }

    pub(super) fn explained(self, explanation: String) -> Self {
        Self { explanation: Some(explanation), ..self }
    }

    fn body(&self) -> String {
        let code = ("code", json::text(self.code));
        let message = ("message", json::text(&self.message));
        let members = match self.target {
            // ASP.NET writes this one, and spells it so.
            None if self.code.contains("ApiVersion") => {
                vec![code, message, ("innerError", "null".to_owned())]
            }
            None => vec![code, message],
            Some(target) => vec![code, message, ("target", json::text(target))],
        };
        json::object([("error", json::object(members))])
    }
}

impl Response {
    pub(super) fn json(status: u16, body: String) -> Self {
        let headers = vec![
            (Cow::Borrowed("Content-Length"), body.len().to_string()),
            ("Content-Type".into(), "application/json; charset=utf-8".to_owned()),
        ];
        Self { status, headers, body: body.into_bytes(), framing: Framing::Length }
    }

    pub(super) fn no_content() -> Self {
        Self { status: 204, headers: Vec::new(), body: Vec::new(), framing: Framing::None }
    }

    pub(super) fn problem(problem: &Problem) -> Self {
        let headers = vec![
            (Cow::Borrowed("Content-Type"), "application/json".to_owned()),
            ("Transfer-Encoding".into(), "chunked".to_owned()),
        ];
        let body = problem.body().into_bytes();
        Self { status: problem.status, headers, body, framing: Framing::Chunked }
    }

    /// A response of the web server, before any service saw the request.
    pub(super) fn empty(status: u16) -> Self {
        let headers = vec![(Cow::Borrowed("Content-Length"), "0".to_owned())];
        Self { status, headers, body: Vec::new(), framing: Framing::Length }
    }

    /// A response that a fault prescribes, framed by length unless its headers say otherwise.
    pub(super) fn prescribed(status: u16, headers: &[(String, String)], body: &[u8]) -> Self {
        let framed = headers.iter().any(|(name, _)| {
            name.eq_ignore_ascii_case("content-length")
                || name.eq_ignore_ascii_case("transfer-encoding")
        });
        let bodiless = status < 200 || status == 204 || status == 304;
        let framing = if framed || bodiless { Framing::None } else { Framing::Length };
        let length = (framing == Framing::Length)
            .then(|| (Cow::Borrowed("Content-Length"), body.len().to_string()));
        let headers =
            headers.iter().map(|(name, value)| (name.clone().into(), value.clone())).chain(length);
        Self { status, headers: headers.collect(), body: body.to_owned(), framing }
    }

    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds the headers of every response, unless it has its own.
    pub(super) fn dressed(
        mut self,
        advertised: Option<&str>,
        client_request_id: Option<&str>,
        now: SystemTime,
        random: &mut Random,
    ) -> Self {
        let vector: Vec<u8> = random.block().into_iter().take(16).collect();
        let common = [
            ("api-supported-versions", advertised.map(str::to_owned)),
            ("Date", timestamp::http_date(now)),
            ("MS-CV", Some(format!("{}.2.0", BASE64_STANDARD_NO_PAD.encode(vector)))),
            ("Request-Context", Some("appId=".to_owned())),
            ("Strict-Transport-Security", Some("max-age=31536000;includeSubDomains".to_owned())),
            ("X-Azure-Ref", Some(format!("0{}", BASE64_STANDARD_NO_PAD.encode(random.block())))),
            ("X-Cache", Some("CONFIG_NOCACHE".to_owned())),
            ("x-ms-client-request-id", client_request_id.map(str::to_owned)),
            // Ours: the form is the service's, the number means nothing.
            ("X-Processing-Time", Some("1ms".to_owned())),
        ];
        for (name, value) in common {
            let Some(value) = value else { continue };
            if self.header(name).is_none() {
                self.headers.push((name.into(), value));
            }
        }
        self.headers.sort_by_cached_key(|(name, _)| name.to_ascii_lowercase());
        self
    }

    /// Whether a fault prescribes that the connection ends.
    pub(super) fn closes(&self) -> bool {
        let is_connection = |name: &str| name.eq_ignore_ascii_case("connection");
        let lines = self.headers.iter().filter(|(name, _)| is_connection(name));
        has_token(lines.map(|(_, value)| value.as_str()), "close")
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Writes it down. An old client is spared the chunks; `bodiless` is for HEAD.
    pub(super) fn encode(&self, http_10: bool, bodiless: bool, close: bool) -> Encoded {
        let status = StatusCode::from_u16(self.status).ok();
        let reason = status.and_then(|status| status.canonical_reason()).unwrap_or("Unknown");
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", self.status);
        let chunked = self.framing == Framing::Chunked && !http_10;
        let lines = self.headers.iter().map(|(name, value)| (&**name, value.as_str()));
        let length = self.body.len().to_string();
        for (name, value) in lines {
            let (name, value) = match name {
                "Transfer-Encoding" if self.framing == Framing::Chunked && http_10 => {
                    ("Content-Length", length.as_str())
                }
                _ => (name, value),
            };
            head.extend([name, ": ", value, "\r\n"]);
        }
        if self.header("connection").is_none() {
            head.extend(["Connection: ", if close { "close" } else { "keep-alive" }, "\r\n"]);
        }
        head.push_str("\r\n");

        let mut bytes = head.into_bytes();
        let head = bytes.len();
        if bodiless {
            return Encoded { bytes, head };
        }
        if chunked {
            bytes.extend(format!("{:x}\r\n", self.body.len()).into_bytes());
            bytes.extend(&self.body);
            bytes.extend(b"\r\n0\r\n\r\n");
        } else {
            bytes.extend(&self.body);
        }
        Encoded { bytes, head }
    }
}

impl Encoded {
    /// Up to the middle of the body, or of the head where there is no body.
    pub(super) fn first_half(&self) -> &[u8] {
        let body = self.bytes.len() - self.head;
        let end = if body == 0 { self.head / 2 } else { self.head + body / 2 };
        self.bytes.get(..end).unwrap_or(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_response_ends_within_its_body_or_its_head() {
        let cut = |response: Response| {
            let whole = response.encode(false, false, false);
            let half = String::from_utf8(whole.first_half().to_owned()).unwrap();
            (half, whole.bytes.len())
        };
        let (half, _) = cut(Response::json(200, "0123456".to_owned()));
        assert!(half.ends_with("\r\n\r\n012"), "{half}");
        let (half, length) = cut(Response::no_content());
        assert_eq!(half.len(), length / 2);
    }
}
