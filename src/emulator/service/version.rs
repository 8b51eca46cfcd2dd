//! What each api-version of the service can do.

use crate::emulator::request::{Operation, Request, Route};
use crate::emulator::response::Refusal;

/// A version that the emulator speaks. They are dates, so their text sorts by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion(&'static str);

/// The newest list recorded of the real service, April 2025. The service serves more than it
/// advertises, and so does the emulator. The list is that of the identities as a whole, and not
/// every path exists in every version of it: under 2020-07-20-preview2, tokens are issued and
/// revoked by other paths.
const ADVERTISED: &str = "2020-07-20-preview2, 2021-03-07, 2021-10-31-preview, 2021-11-01, 2022-06-01, 2022-10-01, 2023-10-01, 2025-03-02-preview";
/// The same recordings, where a token is issued.
const ADVERTISED_BY_ISSUE: &str = "2020-07-20-preview2, 2021-03-07, 2021-10-31-preview, 2021-11-01, 2022-06-01, 2022-10-01, 2023-10-01, 2025-03-02-preview, 2025-03-31-preview";
/// The Teams exchange has a list of its own, last recorded in June 2023.
const ADVERTISED_BY_EXCHANGE: &str = "2021-10-31-preview, 2022-06-01, 2022-10-01, 2023-08-01";

// Ours: not spoken are 2020-07-20-preview1 (gone from the lists by 2021), 2021-03-31-preview1 (only
// its Teams exchange was recorded), 2025-03-02-preview (its custom ids were withdrawn), and
// 2025-04-01-preview (a draft that the service was never seen to serve). 2021-02-22-preview1, which the
// service listed until 2024, is spoken as 2021-03-07; no request under it is public.
const SUPPORTED: [&str; 13] = [
    FIRST_PREVIEW,
    "2021-02-22-preview1",
    "2021-03-07",
    "2021-10-31-preview",
    "2021-11-01",
    "2022-06-01",
    "2022-10-01",
    "2023-08-01",
    "2023-10-01",
    PREVIEW_OF_ISSUE,
    "2025-06-30",
    "2026-07-22",
    "2026-09-23",
];
const FIRST_PREVIEW: &str = "2020-07-20-preview2";
/// Advertised where a token is issued, and nowhere else.
// Ours: spoken there as the stable versions around it; no request under it is public.
const PREVIEW_OF_ISSUE: &str = "2025-03-31-preview";

impl ApiVersion {
    /// The version that a request names, if it has the operation on this route.
    pub(super) fn of(request: &Request, route: &Route) -> Result<Self, Refusal> {
        let Some(text) = request.api_version() else {
            // Ours: ASP.NET's default.
            let message = "An API version is required, but was not specified.";
            return Err(Refusal::new(400, "ApiVersionUnspecified", message, None));
        };
        let version = Self::parse(&text);
        let is_first = version.is_some_and(Self::is_first);
        let is_known_route = route.is_first.is_none_or(|route| route == is_first);
        if version.is_some() && !is_known_route {
            let reason = format!("the path does not exist in api-version {text}, but in others");
            return Err(Refusal::empty(404, &reason));
        }
        let version = version.filter(|version| match route.operation {
            Operation::Exchange => version.has_teams_exchange(),
            Operation::Issue => true,
            Operation::Create | Operation::Delete | Operation::Revoke => {
                version.0 != PREVIEW_OF_ISSUE
            }
        });
        version.ok_or_else(|| {
            // Ours: the real message shows an internal address here, and its headers are not known.
            let uri = format!("https://127.0.0.1{}", request.path());
            let message = format!(
                "The HTTP resource that matches the request URI '{uri}' does not support the API version '{text}'."
            );
            Refusal::new(400, "UnsupportedApiVersion", &message, None)
        })
    }

    /// Whether the shapes of requests and responses are those of 2020.
    pub(super) fn is_first(self) -> bool {
        self.0 == FIRST_PREVIEW
    }

    pub(super) fn has_lifetimes(self) -> bool {
        self.0 >= "2022-10-01"
    }

    fn has_teams_exchange(self) -> bool {
        self.0 != PREVIEW_OF_ISSUE
            && (self.0 == "2021-10-31-preview" || self.exchange_names_app_and_user())
    }

    /// Before, the body of the Teams exchange was the token alone.
    pub(super) fn exchange_names_app_and_user(self) -> bool {
        self.0 >= "2022-06-01"
    }

    pub(super) fn knows_scope(self, scope: &str) -> bool {
        match scope {
            "chat" | "voip" => true,
            "pstn" => self.is_first(),
            "chat.join" | "chat.join.limited" | "voip.join" => self.0 >= "2023-10-01",
            _ => false,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        SUPPORTED.into_iter().find(|version| *version == text).map(ApiVersion)
    }
}

/// The value of `api-supported-versions`.
pub(super) fn advertised(operation: Operation) -> &'static str {
    match operation {
        Operation::Issue => ADVERTISED_BY_ISSUE,
        Operation::Exchange => ADVERTISED_BY_EXCHANGE,
        Operation::Create | Operation::Delete | Operation::Revoke => ADVERTISED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_version_that_is_advertised_is_spoken() {
        for operation in Operation::ALL {
            for version in advertised(operation).split(", ") {
                let is_spoken = ApiVersion::parse(version).is_some();
                assert_eq!(is_spoken, version != "2025-03-02-preview", "{version}");
            }
        }
    }

    #[test]
    fn api_version_has_only_its_features() {
        let features = |text| {
            let version = ApiVersion::parse(text).unwrap();
            [
                version.has_teams_exchange(),
                version.exchange_names_app_and_user(),
                version.has_lifetimes(),
                version.knows_scope("voip.join"),
                version.knows_scope("pstn"),
            ]
        };
        assert_eq!(features("2020-07-20-preview2"), [false, false, false, false, true]);
        assert_eq!(features("2021-02-22-preview1"), [false, false, false, false, false]);
        assert_eq!(features("2021-03-07"), [false, false, false, false, false]);
        assert_eq!(features("2021-10-31-preview"), [true, false, false, false, false]);
        assert_eq!(features("2021-11-01"), [false, false, false, false, false]);
        assert_eq!(features("2022-06-01"), [true, true, false, false, false]);
        assert_eq!(features("2022-10-01"), [true, true, true, false, false]);
        assert_eq!(features("2023-08-01"), [true, true, true, false, false]);
        assert_eq!(features("2023-10-01"), [true, true, true, true, false]);
        assert_eq!(features("2026-09-23"), [true, true, true, true, false]);
    }

    #[test]
    fn api_version_that_is_not_spoken_is_unknown() {
        for text in [
            "2020-07-20-preview1",
            "2021-03-31-preview1",
            "2025-03-02-preview",
            "2025-04-01-preview",
            "2023-10-02",
            "",
            "2023-10-01 ",
        ] {
            assert_eq!(ApiVersion::parse(text), None, "{text}");
        }
    }
}
