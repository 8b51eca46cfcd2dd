# Today's quickstart, for azure-communication-identity from 1.0.0 on.
import os

from azure.communication.identity import CommunicationIdentityClient

connection_string = os.environ["COMMUNICATION_SERVICES_CONNECTION_STRING"]
client = CommunicationIdentityClient.from_connection_string(connection_string)

identity = client.create_user()
print("Created an identity with ID: " + identity.properties["id"])

token_result = client.get_token(identity, ["voip"])
print("Issued an access token with 'voip' scope that expires at " + str(token_result.expires_on))

identity_token_result = client.create_user_and_token(["voip", "chat"])
print("Created an identity with an access token: " + identity_token_result[0].properties["id"])

client.revoke_tokens(identity)
print("Revoked all tokens of the identity")

client.delete_user(identity)
print("Deleted the identity")
