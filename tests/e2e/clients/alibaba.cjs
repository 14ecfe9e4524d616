// The vendor's JavaScript clients: the core for REST calls, and the storage client, which sends `x-oss-date` and no `Date`.
const need = require("module").createRequire(process.env.CLIENTS + "/x.js");
const Core = need("@alicloud/pop-core");
const OSS = need("ali-oss");

const { URL: url, AK, SK } = process.env;
const client = new Core.ROAClient({ accessKeyId: AK, accessKeySecret: SK, endpoint: url, apiVersion: "2018-05-09" });
const headers = (action) => ({ "content-type": "application/json", "x-acs-action": action });

const ask = (action, path, body, query = {}) =>
  client.request("POST", "/green" + path, query, JSON.stringify(body), headers(action), { timeout: 60000 });

(async () => {
  const clientInfo = JSON.stringify({ userId: "120234234", userNick: "Mike <i>\"Q\"</i>", hostAppName: "a&b" });
  const added = await ask("AddPerson", "/sface/person/add", { personId: "anna", groupIds: ["from-node"] }, { ClientInfo: clientInfo });
  const shown = await ask("GetPerson", "/sface/person", { personId: "anna" });
  const faces = [];
  for (const path of ["/sface/faces", "/sface/getFaces"]) {
    faces.push(await ask("GetFaces", path, { personId: "anna" }));
  }
  const granted = (await ask("UploadCredentials", "/credentials/uploadcredentials", {})).data;
  const [, host, port] = /^http:\/\/(.*):(\d+)$/.exec(granted.ossEndpoint);
  const seen = {};
  const store = new OSS({
    accessKeyId: granted.accessKeyId,
    accessKeySecret: granted.accessKeySecret,
    stsToken: granted.securityToken,
    bucket: granted.uploadBucket,
    endpoint: `http://${host}:${port}`,
    sldEnable: true, // The bucket stands in the path: an address has no sub-domains.
  });
  const request = store.urllib.request.bind(store.urllib);
  store.urllib.request = (to, options, ...rest) => {
    for (const name of Object.keys(options.headers)) seen[name.toLowerCase()] = true;
    return request(to, options, ...rest);
  };
  const name = `${granted.uploadFolder}/images/a.jpg`;
  const put = await store.put(name, Buffer.from("a picture"));
  console.log(
    JSON.stringify({
      added: added.code,
      shown: shown.data.groupIds,
      faces: faces.map((answer) => answer.code),
      put: put.res.status,
      sent: Object.keys(seen).sort(),
    }),
  );
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
