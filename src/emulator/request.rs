//! A request as it arrived, and which operation it asks for.

use ureq::http::{HeaderMap, Method, Version, header};

/// An operation of the identity service, as faults and records name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// `POST /identities`, with or without a token.
    Create,
    /// `GET /identities/{id}`, in `2025-03-02-preview` only.
    Get,
    /// `DELETE /identities/{id}`.
    Delete,
    /// `POST /identities/{id}/:issueAccessToken`.
    Issue,
    /// `POST /identities/{id}/:revokeAccessTokens`.
    Revoke,
    /// `POST /teamsUser/:exchangeAccessToken`.
    Exchange,
}

impl Operation {
    pub(super) const ALL: [Self; 6] =
        [Self::Create, Self::Get, Self::Delete, Self::Issue, Self::Revoke, Self::Exchange];

    /// As logs and the program's options name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::Delete => "delete",
            Self::Issue => "issue",
            Self::Revoke => "revoke",
            Self::Exchange => "exchange",
        }
    }
}

/// What came over the wire, with the target exactly as it was written there.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// The emulator's port.
    pub(super) port: u16,
}

/// Where method and path lead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) operation: Operation,
    /// Empty where the path has none.
    pub(super) id: String,
    pub(super) dialect: Option<Dialect>,
}

/// The api-versions to which a route is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// The preview of 2020.
    First,
    /// All that came after it.
    Present,
}

/// Why a request leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unrouted {
    /// The path exists, the method does not: the `Allow` header of the response.
    WrongMethod(&'static str),
    UnknownPath,
}

impl Request {
    /// Stands for what could not be read as a request.
    pub(super) fn unreadable() -> Self {
        let (method, headers) = (Method::default(), HeaderMap::new());
        Self { method, target: String::new(), headers, body: Vec::new(), port: 0 }
    }

    /// The header's text; `None` if it is absent or not ASCII.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Path and query as they are signed: the raw target, without scheme and host in the form that
    /// proxies are sent.
    pub(super) fn path_and_query(&self) -> &str {
        if self.target.starts_with('/') {
            return &self.target;
        }
        let Some((_, rest)) = self.target.split_once("://") else { return &self.target };
        rest.find(['/', '?']).and_then(|start| rest.get(start..)).unwrap_or("/")
    }

    pub(super) fn path(&self) -> &str {
        self.path_and_query().split('?').next().unwrap_or_default()
    }

    pub(super) fn api_version(&self) -> Option<String> {
        let (_, query) = self.path_and_query().split_once('?')?;
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let mut values = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("api-version"));
        values
            .next()
            .and_then(|(_, value)| percent_decoded(value))
            .filter(|value| !value.is_empty())
    }

    pub(super) fn route(&self) -> Result<Route, Unrouted> {
        let path = self.path().strip_prefix('/').ok_or(Unrouted::UnknownPath)?;
        // Split first, decode each segment once: an id may hold an escaped slash.
        let segments: Option<Vec<String>> = path.split('/').map(percent_decoded).collect();
        let segments = segments.ok_or(Unrouted::UnknownPath)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();

        // Ours: the case of the path matters, and so does a slash at its end; nothing public shows
        // either.
        let (method, allow, operation, id, dialect) = match (segments.as_slice(), &self.method) {
            (["identities"], _) => (Method::POST, "POST", Operation::Create, "", None),
            (["identities", ""] | ["identities", "", _], _) => return Err(Unrouted::UnknownPath),
            (["identities", id], &Method::GET) => (Method::GET, "", Operation::Get, *id, None),
            (["identities", id], &Method::PATCH) => {
                (Method::PATCH, "", Operation::Revoke, *id, Some(Dialect::First))
            }
            (["identities", id], _) => {
                (Method::DELETE, "GET, PATCH, DELETE", Operation::Delete, *id, None)
            }
            (["identities", id, "token"], _) => {
                (Method::POST, "POST", Operation::Issue, *id, Some(Dialect::First))
            }
            (["identities", id, ":issueAccessToken"], _) => {
                (Method::POST, "POST", Operation::Issue, *id, Some(Dialect::Present))
            }
            (["identities", id, ":revokeAccessTokens"], _) => {
                (Method::POST, "POST", Operation::Revoke, *id, Some(Dialect::Present))
            }
            (["teamsUser", ":exchangeAccessToken"], _) => {
                (Method::POST, "POST", Operation::Exchange, "", Some(Dialect::Present))
            }
            _ => return Err(Unrouted::UnknownPath),
        };
        if self.method != method {
            return Err(Unrouted::WrongMethod(allow));
        }
        Ok(Route { operation, id: id.to_owned(), dialect })
    }

    pub(super) fn operation(&self) -> Option<Operation> {
        self.route().ok().map(|route| route.operation)
    }
}

/// `None` for a broken escape, or for bytes that are not UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = tail;
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        // from_str_radix alone would take a sign.
        let hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| hexadecimal)?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

/// What is wrong with the framing of a body (RFC 9112, sections 6.1 and 6.3).
pub(super) fn misframed(version: Version, headers: &HeaderMap) -> Option<(u16, &'static str)> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next()?;
    if headers.contains_key(header::CONTENT_LENGTH) {
        return Some((400, "the request has both Content-Length and Transfer-Encoding"));
    }
    if version == Version::HTTP_10 {
        return Some((400, "HTTP/1.0 has no Transfer-Encoding"));
    }
    let is_chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    (!is_chunked || codings.next().is_some())
        .then_some((501, "the Transfer-Encoding is not chunked, and no other is known here"))
}

/// Whether the connection closes after the response.
pub(super) fn closes(version: Version, headers: &HeaderMap) -> bool {
    let says = |token| {
        let values = headers.get_all(header::CONNECTION).iter();
        has_token(values.filter_map(|value| value.to_str().ok()), token)
    };
    says("close") || (version == Version::HTTP_10 && !says("keep-alive"))
}

/// Whether one of these lists has this token, in any case.
pub(super) fn has_token<'a>(lists: impl Iterator<Item = &'a str>, token: &str) -> bool {
    lists.flat_map(|list| list.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// Whether a body follows that is not read: ureq-proto reads none after a HEAD or a CONNECT.
pub(super) fn has_unread_body(method: &Method, headers: &HeaderMap) -> bool {
    let is_empty = headers.get(header::CONTENT_LENGTH).is_none_or(|length| length == "0");
    matches!(*method, Method::HEAD | Method::CONNECT)
        && (!is_empty || headers.contains_key(header::TRANSFER_ENCODING))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, target: &str) -> Request {
        let (target, headers) = (target.to_owned(), HeaderMap::new());
        Request { method, target, headers, body: Vec::new(), port: 1 }
    }

    fn route(operation: Operation, id: &str, dialect: Option<Dialect>) -> Route {
        Route { operation, id: id.to_owned(), dialect }
    }

    #[test]
    fn finds_the_operation_in_both_forms_of_the_path() {
        for target in [
            "/identities/8:acs:a_b/:issueAccessToken?api-version=x",
            "/identities/8%3Aacs%3Aa_b/:issueAccessToken",
            "/identities/8%3aacs%3aa_b/%3AissueAccessToken",
            "http://127.0.0.1:1/identities/8%3Aacs%3Aa_b/:issueAccessToken",
        ] {
            let expected = route(Operation::Issue, "8:acs:a_b", Some(Dialect::Present));
            assert_eq!(request(Method::POST, target).route().unwrap(), expected, "{target}");
        }
    }

    #[test]
    fn decodes_an_id_exactly_once_and_after_splitting() {
        let found = request(Method::DELETE, "/identities/a%2Fb%253A").route();
        assert_eq!(found.unwrap(), route(Operation::Delete, "a/b%3A", None));
    }

    #[test]
    fn knows_the_routes_of_2020() {
        let first = Some(Dialect::First);
        let found = request(Method::POST, "/identities/8%3Aacs%3Aa/token").route();
        assert_eq!(found.unwrap(), route(Operation::Issue, "8:acs:a", first));
        let found = request(Method::PATCH, "/identities/8:acs:a").route();
        assert_eq!(found.unwrap(), route(Operation::Revoke, "8:acs:a", first));
    }

    #[test]
    fn knows_no_other_path_and_no_other_method() {
        for target in [
            "/",
            "/identities/",
            "/identities//:issueAccessToken",
            "/identities//token",
            "/Identities",
            "*",
            "/x%",
        ] {
            let found = request(Method::POST, target).route();
            assert_eq!(found, Err(Unrouted::UnknownPath), "{target}");
        }
        let found = request(Method::PUT, "/identities/8:acs:a").route();
        assert_eq!(found, Err(Unrouted::WrongMethod("GET, PATCH, DELETE")));
    }

    #[test]
    fn reads_the_api_version() {
        let of = |target| request(Method::POST, target).api_version();
        assert_eq!(of("/identities?x=1&API-Version=2023%2D10-01").as_deref(), Some("2023-10-01"));
        for target in
            ["/identities", "/identities?", "/identities?api-version", "/identities?api-version="]
        {
            assert_eq!(of(target), None, "{target}");
        }
    }

    #[test]
    fn refuses_broken_escapes() {
        for text in ["%", "%4", "%+4", "%zz", "%ff"] {
            assert_eq!(percent_decoded(text), None, "{text}");
        }
    }
}
