# The quickstart of 2020, for azure-communication-administration 1.0.0b1 to 1.0.0b4.
import os

from azure.communication.administration import CommunicationIdentityClient

connection_string = os.environ["COMMUNICATION_SERVICES_CONNECTION_STRING"]
client = CommunicationIdentityClient.from_connection_string(connection_string)

identity = client.create_user()
print("Created an identity with ID: " + identity.identifier)

token_result = client.issue_token(identity, ["voip"])
print("Issued an access token with 'voip' scope that expires at " + str(token_result.expires_on))

token_result = client.issue_token(identity, ["voip", "chat"])
print("Issued an access token with 'voip' and 'chat' scopes that expires at " + str(token_result.expires_on))

client.revoke_tokens(identity)
print("Revoked all tokens of the identity")

client.delete_user(identity)
print("Deleted the identity")
