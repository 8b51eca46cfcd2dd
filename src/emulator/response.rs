//! A response: its status, its headers in the spelling of the real service, its bytes.

use std::fmt;

use serde_json::json;
use ureq::http::StatusCode;

use super::request::has_token;

/// What is sent back for one request, framed by its length unless its headers say otherwise.
#[derive(Clone)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    is_chunked: bool,
}

/// A response that is not a success, and what the record says about it.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) response: Response,
    pub(super) reason: String,
    /// Whether the layer that responds sends `api-supported-versions`.
    pub(super) is_advertising: bool,
}

impl Response {
    pub(super) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), is_chunked: false }
    }

    pub(super) fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new(status) }
            .with_header("Content-Type", "application/json; charset=utf-8")
    }

    pub(super) fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Whether its own headers end the connection.
    pub(super) fn closes(&self) -> bool {
        self.header("connection").is_some_and(|list| has_token(list, "close"))
    }

    /// Its bytes, and how many of them are half: up to the middle of the body, or of the head if there is no
    /// body. An old client is spared the chunks; `is_bodiless` is for HEAD.
    pub(super) fn encode(
        &self,
        is_http_10: bool,
        is_bodiless: bool,
        closes: bool,
    ) -> (Vec<u8>, usize) {
        let reason = StatusCode::from_u16(self.status).ok();
        let reason = reason.and_then(|status| status.canonical_reason()).unwrap_or("Unknown");
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", self.status);
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        let mut body = self.body.clone();
        let has_own_framing =
            ["content-length", "transfer-encoding"].iter().any(|it| self.header(it).is_some());
        if self.is_chunked && !is_http_10 {
            head.push_str("Transfer-Encoding: chunked\r\n");
            let size = format!("{:x}\r\n", body.len()).into_bytes();
            body = [&size, &*body, b"\r\n0\r\n\r\n"].concat();
        } else if !has_own_framing && !matches!(self.status, 0..200 | 204 | 304) {
            head.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        if self.header("connection").is_none() {
            head.extend(["Connection: ", if closes { "close" } else { "keep-alive" }, "\r\n"]);
        }
        head.push_str("\r\n");
        if is_bodiless {
            body.clear();
        }
        let half = if body.is_empty() { head.len() / 2 } else { head.len() + body.len() / 2 };
        ([head.as_bytes(), &body].concat(), half)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers and body may hold a token.
        f.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Refusal {
    /// An error of the service. Its body is chunked, and its type has no charset.
    pub(super) fn new(status: u16, code: &str, message: &str, target: Option<&str>) -> Self {
        let error = match target {
            Some(target) => json!({"code": code, "message": message, "target": target}),
            // ASP.NET writes this one, and spells it so.
            None if code.contains("ApiVersion") => {
                json!({"code": code, "message": message, "innerError": null})
            }
            None => json!({"code": code, "message": message}),
        };
        let body = json!({"error": error}).to_string().into_bytes();
        let response = Response { body, is_chunked: true, ..Response::new(status) };
        Self {
            response: response.with_header("Content-Type", "application/json"),
            reason: format!("{code}: {message}"),
            is_advertising: false,
        }
    }

    pub(super) fn validation(message: &str, target: Option<&str>) -> Self {
        Self::new(400, "ValidationError", message, target)
    }

    /// A response without a body.
    pub(super) fn empty(status: u16, reason: &str) -> Self {
        Self { response: Response::new(status), reason: reason.to_owned(), is_advertising: false }
    }

    /// The reason as the body, where no client of the service sees it.
    pub(super) fn text(status: u16, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let response = Response { body: reason.clone().into_bytes(), ..Response::new(status) };
        let response = response.with_header("Content-Type", "text/plain");
        Self { response, reason, is_advertising: false }
    }

    /// The handler responds, not the layer that binds the request to it.
    pub(super) fn advertising(self) -> Self {
        Self { is_advertising: true, ..self }
    }

    /// Tells the record more than the message does.
    pub(super) fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_is_cut_within_its_body_or_its_head() {
        let cut = |response: Response| {
            let (bytes, half) = response.encode(false, false, false);
            (String::from_utf8(bytes[..half].to_owned()).unwrap(), bytes.len())
        };
        let (half, _) = cut(Response::json(200, "0123456"));
        assert!(half.ends_with("\r\n\r\n012"), "{half}");
        let (half, length) = cut(Response::new(204));
        assert_eq!(half.len(), length / 2);
    }
}
