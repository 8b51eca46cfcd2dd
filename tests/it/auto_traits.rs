use acs_identity::{
    AccessKey, AccessToken, CommunicationIdentityClient, CommunicationIdentityClientBuilder,
    CommunicationUserIdentifier, ConnectionString, Credential, Endpoint, Error, ErrorKind,
    SignedHeaders, TokenRequest, TokenScope,
};

fn shareable<T: Send + Sync + 'static>() {}

#[test]
fn every_public_type_can_be_shared_between_threads() {
    shareable::<AccessKey>();
    shareable::<AccessToken>();
    shareable::<CommunicationIdentityClient>();
    shareable::<CommunicationIdentityClientBuilder>();
    shareable::<CommunicationUserIdentifier>();
    shareable::<ConnectionString>();
    shareable::<Credential>();
    shareable::<Endpoint>();
    shareable::<Error>();
    shareable::<ErrorKind>();
    shareable::<SignedHeaders>();
    shareable::<TokenRequest>();
    shareable::<TokenScope>();
}

#[test]
fn an_error_is_one_word() {
    assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
}
