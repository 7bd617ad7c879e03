// Uploads a file with tus-js-client: node upload.mjs <endpoint> <key> <file> <cut> [<address of the upload>]
// Ends by itself, as if it were cut off, when the share `cut` of the file is sent; prints one line of JSON.
import { createReadStream, statSync, writeSync } from "node:fs";
import { basename } from "node:path";
import { Upload } from "tus-js-client";

const [endpoint, key, path, cut, address] = process.argv.slice(2);
const end = (code, told) => {
  writeSync(1, JSON.stringify(told) + "\n");
  process.exit(code);
};
const upload = new Upload(createReadStream(path), {
  endpoint,
  uploadUrl: address ?? null,
  uploadSize: statSync(path).size,
  chunkSize: 64 * 1024,
  retryDelays: Array(60).fill(500),
  headers: { Authorization: `Bearer ${key}` },
  metadata: { filename: basename(path), filetype: "video/x-matroska", purpose: "video" },
  onProgress: (sent, all) => {
    if (sent / all >= Number(cut) && cut < 1) end(0, { address: upload.url, sent });
  },
  onSuccess: () => end(0, { address: upload.url, sent: upload._offset }),
  onError: (error) => end(1, { error: String(error) }),
});
upload.start();
