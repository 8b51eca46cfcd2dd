// Today's quickstart, for @azure/communication-identity from 1.0.0 on.
const { CommunicationIdentityClient } = require("@azure/communication-identity");

async function main() {
  const client = new CommunicationIdentityClient(process.env.COMMUNICATION_SERVICES_CONNECTION_STRING);

  const user = await client.createUser();
  console.log(`Created an identity with ID: ${user.communicationUserId}`);

  const voip = await client.getToken(user, ["voip"]);
  console.log(`Issued an access token with 'voip' scope that expires at ${voip.expiresOn}`);

  const both = await client.createUserAndToken(["voip", "chat"]);
  console.log(`Created an identity with an access token: ${both.user.communicationUserId}`);

  await client.revokeTokens(user);
  console.log("Revoked all tokens of the identity");

  await client.deleteUser(user);
  console.log("Deleted the identity");
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
