// Calls every method of the client of @azure/notification-hubs and prints a line of JSON for each: its name, and the
// error where it did not do what it promises. Environment: NODE_MODULES, CONNECTION_STRING, HUB, CONTAINER.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_MODULES}/`);
const sdk = require("@azure/notification-hubs");
const { NotificationHubsClient, createTagExpression } = sdk;
const client = new NotificationHubsClient(process.env.CONNECTION_STRING, process.env.HUB, {
  retryOptions: { maxRetries: 0 },
});
const covered = new Set();

async function method(name, call) {
  covered.add(name);
  let error = "";
  try {
    await call();
  } catch (caught) {
    error = String(caught.message).replaceAll("\n", " ");
  }
  console.log(JSON.stringify({ method: name, error }));
}

async function all(pages) {
  const found = [];
  for await (const one of pages) found.push(one);
  return found;
}

async function until(call, done) {
  for (;;) {
    const value = await call();
    if (done(value)) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const isGone = (error) => error.statusCode === 404;
const body = JSON.stringify({ aps: { alert: "hi" } });
const template = { body: JSON.stringify({ aps: { alert: "$(m)" } }), tags: ["greetings"] };
const apple = sdk.createAppleNotification({ body });
const point = "BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU";
const keys = { endpoint: "https://browser.example/1?a=b&c", p256dh: point, auth: "AAECAwQFBgcICQoLDA0ODw" };

await method("createOrUpdateInstallation", async () => {
  const phone = { installationId: "phone", pushChannel: "AA01", tags: ["news"], userId: "ann" };
  await client.createOrUpdateInstallation(sdk.createAppleInstallation({ ...phone, templates: { greet: template } }));
  const browser = sdk.createBrowserInstallation({ installationId: "browser", pushChannel: keys });
  await client.createOrUpdateInstallation(browser);
  for (const [name, create] of Object.entries({
    adm: sdk.createAdmInstallation,
    baidu: sdk.createBaiduInstallation,
    gcm: sdk.createFcmLegacyInstallation,
    fcmv1: sdk.createFcmV1Installation,
    xiaomi: sdk.createXiaomiInstallation,
  })) {
    await client.createOrUpdateInstallation(create({ installationId: name, pushChannel: `${name}-1` }));
  }
  const tile = { installationId: "wns", pushChannel: "https://wns.example/?token=1" };
  await client.createOrUpdateInstallation(sdk.createWindowsInstallation(tile));
});

await method("getInstallation", async () => {
  const phone = await client.getInstallation("phone");
  assert.equal(phone.pushChannel, "AA01");
  assert.deepEqual(phone.templates.greet.tags, ["greetings", "greet"]);
  assert.deepEqual((await client.getInstallation("browser")).pushChannel, keys);
});

await method("updateInstallation", async () => {
  await client.updateInstallation("phone", [
    { op: "add", path: "/tags", value: "sport" },
    { op: "replace", path: "/templates/second", value: JSON.stringify(template) },
    { op: "remove", path: "/userId" },
  ]);
  const phone = await client.getInstallation("phone");
  assert.deepEqual(phone.tags, ["news", "sport"]);
  assert.deepEqual(Object.keys(phone.templates), ["greet", "second"]);
  assert.equal(phone.userId, undefined);
});

await method("deleteInstallation", async () => {
  for (const id of ["adm", "baidu", "browser", "wns", "nothing"]) await client.deleteInstallation(id);
  await assert.rejects(client.getInstallation("adm"), isGone);
});

let id;
await method("createRegistrationId", async () => {
  id = await client.createRegistrationId();
  assert.match(id, /^\d+-\d+-\d$/);
});

const kinds = {
  Adm: { admRegistrationId: "adm-2" },
  Apple: { deviceToken: "AA02" },
  Baidu: { baiduUserId: "user", baiduChannelId: "channel-1" },
  Browser: { endpoint: keys.endpoint, p256dh: keys.p256dh, auth: keys.auth },
  FcmLegacy: { gcmRegistrationId: "gcm-2" },
  FcmV1: { fcmV1RegistrationId: "fcm-2" },
  Windows: { channelUri: "https://wns.example/?token=2&x=y" },
  Xiaomi: { xiaomiRegistrationId: "xiaomi-2" },
};
const bodies = {
  Apple: template.body,
  FcmLegacy: JSON.stringify({ message: { data: { m: "$(m)" } } }),
  FcmV1: JSON.stringify({ message: { data: { m: "$(m)" } } }),
  Windows: "<toast><visual><binding><text>$(m)</text></binding></visual></toast>",
};
const created = {};
await method("createRegistration", async () => {
  for (const [name, handles] of Object.entries(kinds)) {
    const tags = ["all", name];
    const native = await client.createRegistration(sdk[`create${name}RegistrationDescription`]({ ...handles, tags }));
    for (const [key, value] of Object.entries(handles)) assert.equal(native[key], value, `${name}.${key}`);
    assert.deepEqual([native.etag, native.tags], ["1", tags]);
    const description = {
      ...handles,
      tags,
      templateName: "greet",
      bodyTemplate: bodies[name] ?? JSON.stringify({ data: { m: "$(m)" } }),
      ...(name === "Windows" ? { wnsHeaders: { "X-WNS-Type": "wns/toast" } } : {}),
      ...(name === "Apple" ? { expiry: new Date("2030-01-01"), apnsHeaders: { "apns-priority": "5" } } : {}),
    };
    const made = await client.createRegistration(sdk[`create${name}TemplateRegistrationDescription`](description));
    assert.deepEqual([made.bodyTemplate, made.templateName], [description.bodyTemplate, "greet"]);
    created[name] = native;
  }
});

await method("createOrUpdateRegistration", async () => {
  const given = () =>
    sdk.createAppleRegistrationDescription({ registrationId: id, deviceToken: "aa03", tags: ["third"] });
  const first = await client.createOrUpdateRegistration(given());
  assert.deepEqual([first.registrationId, first.deviceToken, first.etag], [id, "AA03", "1"]);
  assert.equal((await client.createOrUpdateRegistration(given())).etag, "2");
});

await method("updateRegistration", async () => {
  const current = await client.getRegistration(id);
  const stale = { ...current };
  const updated = await client.updateRegistration({ ...current, tags: ["third", "more"] });
  assert.deepEqual([updated.etag, updated.tags], ["3", ["third", "more"]]);
  await assert.rejects(client.updateRegistration({ ...stale }), (error) => error.statusCode === 412);
});

await method("getRegistration", async () => {
  for (const [name, registration] of Object.entries(created)) {
    const got = await client.getRegistration(registration.registrationId);
    const handles = name === "FcmLegacy" ? { fcmV1RegistrationId: "gcm-2" } : kinds[name];
    for (const [key, value] of Object.entries(handles)) assert.equal(got[key], value, `${name}.${key}`);
  }
  await assert.rejects(client.getRegistration("1-1-1"), isGone);
});

await method("listRegistrations", async () => {
  const every = await all(client.listRegistrations());
  const inParts = await all(client.listRegistrations({ top: 3 }));
  assert.ok(every.length > 20);
  assert.deepEqual(inParts.map((one) => one.registrationId), every.map((one) => one.registrationId));
});

await method("listRegistrationsByChannel", async () => {
  const channels = {
    Adm: { kind: "adm" },
    Apple: { kind: "apple" },
    Baidu: { kind: "baidu" },
    Browser: { kind: "browser" },
    FcmLegacy: { kind: "gcm" },
    FcmV1: { kind: "fcmv1" },
    Windows: { kind: "windows" },
  };
  for (const [name, kind] of Object.entries(channels)) {
    const found = await all(client.listRegistrationsByChannel({ ...kind, ...kinds[name] }));
    assert.equal(found.length, 2, name);
    assert.equal(found[0].registrationId, created[name].registrationId);
  }
});

await method("listRegistrationsByTag", async () => {
  assert.equal((await all(client.listRegistrationsByTag("ALL", { top: 5 }))).length, 16);
  assert.equal((await all(client.listRegistrationsByTag("$InstallationId:{phone}"))).length, 3);
});

await method("deleteRegistration", async () => {
  await assert.rejects(client.deleteRegistration(id, { etag: "1" }), (error) => error.statusCode === 412);
  await client.deleteRegistration(id, { etag: "3" });
  await client.deleteRegistration(created.Adm.registrationId);
  await assert.rejects(client.getRegistration(id), isGone);
});

let sent;
await method("sendNotification", async () => {
  sent = await client.sendNotification(apple, { tagExpression: createTagExpression(["news", "sport"]) });
  assert.ok(sent.notificationId && sent.trackingId && sent.correlationId);
  const properties = sdk.createTemplateNotification({ body: { m: "hi" } });
  await client.sendNotification(properties, { tagExpression: "greet && !sport" });
  const direct = await client.sendNotification(apple, { deviceHandle: "aa09" });
  const several = await client.sendNotification(apple, { deviceHandle: ["AA10", "AA11"] });
  for (const [one, count] of [[direct, 1], [several, 2]]) {
    const read = () => client.getNotificationOutcomeDetails(one.notificationId);
    const details = await until(read, (found) => found.state === "Completed");
    assert.deepEqual(details.apnsOutcomeCounts, [{ state: "Success", count }]);
  }
  const tested = await client.sendNotification(apple, { tagExpression: "news", enableTestSend: true });
  assert.deepEqual([tested.state, tested.successCount, tested.failureCount], ["DetailedStateAvailable", 1, 0]);
  assert.equal(tested.results[0].pnsHandle, "AA01");
  const toast = sdk.createWindowsToastNotification({ body: "<toast/>" });
  await client.sendNotification(toast, { tagExpression: "Windows" });
});

await method("sendBroadcastNotification", async () => {
  assert.ok((await client.sendBroadcastNotification(apple)).notificationId);
  const tested = await client.sendBroadcastNotification(apple, { enableTestSend: true });
  assert.equal(tested.successCount, 2);
});

await method("getNotificationOutcomeDetails", async () => {
  const read = () => client.getNotificationOutcomeDetails(sent.notificationId);
  const details = await until(read, (found) => found.state === "Completed");
  assert.deepEqual([details.notificationId, details.apnsOutcomeCounts], [sent.notificationId, [{ state: "Success", count: 1 }]]);
  assert.equal(details.notificationBody, body);
  await assert.rejects(client.getNotificationOutcomeDetails("nothing"), isGone);
});

const later = new Date(Date.now() + 3600 * 1000);
let scheduled;
await method("scheduleNotification", async () => {
  scheduled = await client.scheduleNotification(later, apple, { tagExpression: "news" });
  assert.equal((await client.getNotificationOutcomeDetails(scheduled.notificationId)).state, "Scheduled");
});

await method("scheduleBroadcastNotification", async () => {
  const answer = await client.scheduleBroadcastNotification(later, apple);
  await client.cancelScheduledNotification(answer.notificationId);
});

await method("cancelScheduledNotification", async () => {
  await client.cancelScheduledNotification(scheduled.notificationId);
  assert.equal((await client.getNotificationOutcomeDetails(scheduled.notificationId)).state, "Cancelled");
  await assert.rejects(client.cancelScheduledNotification(scheduled.notificationId), isGone);
});

await method("getFeedbackContainerUrl", async () => {
  assert.equal(new URL(await client.getFeedbackContainerUrl()).protocol, "https:");
});

const job = { type: "ExportRegistrations", outputContainerUrl: process.env.CONTAINER };
await method("submitNotificationHubJob", async () => {
  assert.ok((await client.submitNotificationHubJob(job)).jobId);
});
await method("getNotificationHubJob", async () => {
  const { jobId } = await client.submitNotificationHubJob(job);
  assert.equal((await client.getNotificationHubJob(jobId)).jobId, jobId);
});
await method("listNotificationHubJobs", async () => {
  assert.ok((await client.listNotificationHubJobs()).length > 0);
});
await method("beginSubmitNotificationHubJob", async () => {
  // The poller is a promise of its own end, and has arrived there once it is awaited.
  const done = await client.beginSubmitNotificationHubJob(job, { updateIntervalInMs: 20 });
  assert.deepEqual([done.status, done.progress], ["Completed", 100]);
  assert.match(done.outputProperties.OutputFilePath, /\/box\/\/h1\/.*\/Output\.txt$/);
});

const names = Object.getOwnPropertyNames(NotificationHubsClient.prototype).filter((name) => name !== "constructor");
assert.deepEqual([...covered].sort(), names.sort());
