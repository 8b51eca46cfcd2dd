// The quickstart of 2020, for @azure/communication-administration 1.0.0-beta.2 to 1.0.0-beta.4.
const { CommunicationIdentityClient } = require("@azure/communication-administration");

async function main() {
  const client = new CommunicationIdentityClient(process.env.COMMUNICATION_SERVICES_CONNECTION_STRING);

  const user = await client.createUser();
  console.log(`Created an identity with ID: ${user.communicationUserId}`);

  const voip = await client.issueToken(user, ["voip"]);
  console.log(`Issued an access token with 'voip' scope that expires at ${voip.expiresOn}`);

  const both = await client.issueToken(user, ["voip", "chat"]);
  console.log(`Issued an access token with 'voip' and 'chat' scopes that expires at ${both.expiresOn}`);

  await client.revokeTokens(user);
  console.log("Revoked all tokens of the identity");

  await client.deleteUser(user);
  console.log("Deleted the identity");
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
