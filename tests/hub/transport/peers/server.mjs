// Node's HTTP/2 server: CERTIFICATE_FILE; it prints its port. Every 40th answer of a session is followed by a GOAWAY.
import http2 from "node:http2";
import fs from "node:fs";

const pem = fs.readFileSync(process.argv[2]);
const taken = [];
const server = http2.createSecureServer({ key: pem, cert: pem, settings: { maxConcurrentStreams: 7, initialWindowSize: 20000 } });

server.on("session", (session) => (session.answered = 0));
server.on("stream", (stream, headers) => {
  let size = 0;
  stream.on("data", (part) => (size += part.length));
  stream.on("error", () => {});
  stream.on("end", () => {
    const path = headers[":path"];
    if (path === "/taken") {
      stream.respond({ ":status": 203 });
      stream.end(JSON.stringify(taken));
      return;
    }
    taken.push(`${path} ${size}`);
    if (path.endsWith("7")) {
      stream.respond({ ":status": 410 });
      stream.end('{"reason":"Unregistered"}');
    } else {
      stream.respond({ ":status": 200 }, { endStream: true });
    }
    if (++stream.session.answered === 40) stream.session.close();
  });
});
server.on("sessionError", () => {});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit()).resume();
