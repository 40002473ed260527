// A client made of jspurefix (npm): requests come as JSON lines, what happens leaves as JSON lines.
//
//   node fix_jspurefix_client.js '{"packages": folder, "log": file, "session": {...}}'
//   {"type": "D", "body": {"ClOrdID": "one", ...}} | {"logout": true}
//   {"event": "ready"} | {"event": "message", "body": {...}} | {"event": "stopped", "error": null}
"use strict";

const { createRequire } = require("node:module");
const readline = require("node:readline");

const told = JSON.parse(process.argv[2]);
const requireThere = createRequire(told.packages + "/");
requireThere("reflect-metadata"); // before anything else of it
const { AsciiSession, JsFixWinstonLogFactory, SessionLauncher, WinstonLogger } =
  requireThere("jspurefix");

const tell = (event) => process.stdout.write(JSON.stringify(event) + "\n");
let session = null;

class Client extends AsciiSession {
  constructor(config) {
    super(config);
    this.checkMsgIntegrity = true; // its default is to trust an acceptor
    session = this;
  }

  onLogon() {
    return true;
  }

  onReady() {
    tell({ event: "ready" });
  }

  onApplicationMsg(msgType, view) {
    tell({ event: "message", type: msgType, body: view.toObject() });
  }

  onDecoded() {}

  onEncoded() {}

  onStopped(error) {
    tell({ event: "stopped", error: error ? error.message : null });
  }
}

class Launcher extends SessionLauncher {
  constructor() {
    const log = new JsFixWinstonLogFactory(WinstonLogger.fileOptions(told.log, "info"));
    super(told.session, null, log);
  }

  makeFactory() {
    return { makeSession: (config) => new Client(config) };
  }
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const request = JSON.parse(line, (name, value) =>
    name === "TransactTime" ? new Date(value) : value);
  if (request.logout) {
    session.done();
  } else {
    session.send(request.type, request.body, (error) => {
      if (error) tell({ event: "unsent", error: error.message });
    });
  }
});

const launcher = new Launcher();
launcher.run().then(
  () => process.exit(0),
  (error) => {
    tell({ event: "failed", error: String(error) });
    process.exit(1);
  },
);
