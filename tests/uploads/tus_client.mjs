// Uploads a file by tus-js-client: node tus_client.mjs {"endpoint", "path", "metadata", "cookie"}
import { createReadStream } from "node:fs";
import { Upload } from "tus-js-client";

const { endpoint, path, metadata, cookie } = JSON.parse(process.argv[2]);
const upload = new Upload(createReadStream(path), {
  endpoint,
  metadata,
  headers: { Cookie: cookie },
  retryDelays: [100, 300, 1000, 1000],
  onError: (error) => {
    console.error(String(error));
    process.exit(1);
  },
  onSuccess: ({ lastResponse }) => console.log(lastResponse.getHeader("Upload-Receipt")),
});
upload.start();
