use std::panic::{RefUnwindSafe, UnwindSafe};

use acs_identity::emulator::{Emulator, EmulatorBuilder, Fault, Operation, RecordedRequest};
use acs_identity::{
    AccessKey, AccessToken, ApiVersion, BearerToken, CallReport, CommunicationCloud,
    CommunicationIdentifier, CommunicationIdentityClient, CommunicationIdentityClientBuilder,
    CommunicationUserIdentifier, ConnectionString, Credential, Endpoint, Error, ErrorKind,
    RequestToSign, RetryPolicy, SignedHeaders, Tls, TokenRequest, TokenScope, TokenSource,
};

fn shareable<T: Send + Sync + 'static>() {}
fn unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}

#[test]
fn public_types_can_be_shared_between_threads() {
    shareable::<AccessKey>();
    shareable::<AccessToken>();
    shareable::<ApiVersion>();
    shareable::<BearerToken>();
    shareable::<CallReport>();
    shareable::<CommunicationCloud>();
    shareable::<CommunicationIdentifier>();
    shareable::<CommunicationIdentityClient>();
    shareable::<CommunicationIdentityClientBuilder>();
    shareable::<CommunicationUserIdentifier>();
    shareable::<ConnectionString>();
    shareable::<Credential>();
    shareable::<Emulator>();
    shareable::<EmulatorBuilder>();
    shareable::<Endpoint>();
    shareable::<Error>();
    shareable::<ErrorKind>();
    shareable::<Fault>();
    shareable::<Operation>();
    shareable::<RecordedRequest>();
    shareable::<RequestToSign<'static>>();
    shareable::<RetryPolicy>();
    shareable::<SignedHeaders>();
    shareable::<Tls>();
    shareable::<TokenRequest>();
    shareable::<TokenScope>();
    shareable::<TokenSource>();
}

#[test]
fn public_types_of_a_call_are_unwind_safe() {
    unwind_safe::<CommunicationIdentityClient>();
    unwind_safe::<CallReport>();
    unwind_safe::<Error>();
    unwind_safe::<TokenRequest>();
}

#[test]
fn error_is_the_size_of_a_pointer() {
    assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
}
