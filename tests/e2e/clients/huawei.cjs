// The vendor's JavaScript core: signs requests without a body, with and without the text UNSIGNED-PAYLOAD.
const need = require("module").createRequire(process.env.CLIENTS + "/x.js");
const { BasicCredentials } = need("@huaweicloud/huaweicloud-sdk-core");
const { ClientBuilder } = need("@huaweicloud/huaweicloud-sdk-core/ClientBuilder");

const { URL: url, AK, SK, PROJECT } = process.env;
const credential = new BasicCredentials().withAk(AK).withSk(SK).withProjectId(PROJECT);
const client = new ClientBuilder((client) => client).withCredential(credential).withEndpoint(url).build();

const ask = (method, path, headers = {}, data = undefined, queryParams = {}) =>
  client.sendRequest({
    method,
    url: path,
    contentType: "application/json",
    pathParams: { project_id: PROJECT },
    queryParams,
    headers,
    data,
  });

(async () => {
  const unsigned = { "X-Sdk-Content-Sha256": "UNSIGNED-PAYLOAD" };
  const made = await ask("POST", "/v2/{project_id}/face-sets", {}, { face_set_name: "from-node" });
  const listed = await ask("GET", "/v2/{project_id}/face-sets");
  const again = await ask("GET", "/v2/{project_id}/face-sets", unsigned);
  const queried = await ask("GET", "/v2/{project_id}/face-sets/from-node/faces", unsigned, undefined, { offset: 0, limit: 5 });
  const deleted = await ask("DELETE", "/v2/{project_id}/face-sets/from-node", unsigned);
  const names = (answer) => answer.face_sets_info.map((set) => set.face_set_name);
  console.log(
    JSON.stringify({
      made: made.face_set_info.face_set_name,
      listed: names(listed),
      again: names(again),
      queried: queried.faces,
      deleted: deleted.face_set_name,
    }),
  );
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
