// Calls every method of the client of com.windowsazure:Notification-Hubs-java-sdk, first those that wait and then their
// twins with a callback, and prints a line of JSON for each: its name, and the error where it did not do what it promises.
// Environment: CONNECTION_STRING, HUB, CONTAINER.
import com.windowsazure.messaging.*;
import java.lang.reflect.*;
import java.net.URI;
import java.util.*;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import org.apache.http.concurrent.FutureCallback;

public class JavaSdk {
    static final String APS = "{\"aps\":{\"alert\":\"hi\"}}";
    static final String TEMPLATE = "{\"aps\":{\"alert\":\"$(m)\"}}";
    static final Set<String> called = new TreeSet<>();
    static final Set<String> checked = new TreeSet<>();

    interface Check { void run() throws Exception; }

    /** The client itself, or one whose methods go by their twins with a callback. */
    static NotificationHubClient client(NotificationHub hub, boolean isAsync) {
        InvocationHandler handler = (proxy, method, arguments) -> {
            Object[] given = arguments == null ? new Object[0] : arguments;
            try {
                if (isAsync) return awaited(hub, method, given);
                called.add(signature(method));
                return method.invoke(hub, given);
            } catch (InvocationTargetException error) {
                throw error.getCause();
            }
        };
        return (NotificationHubClient) Proxy.newProxyInstance(
            JavaSdk.class.getClassLoader(), new Class<?>[] {NotificationHubClient.class}, handler);
    }

    static Object awaited(NotificationHub hub, Method method, Object[] arguments) throws Throwable {
        CompletableFuture<Object> answer = new CompletableFuture<>();
        FutureCallback<Object> callback = new FutureCallback<>() {
            public void completed(Object value) { answer.complete(value); }
            public void failed(Exception error) { answer.completeExceptionally(error); }
            public void cancelled() { answer.cancel(true); }
        };
        List<Class<?>> types = new ArrayList<>(List.of(method.getParameterTypes()));
        List<Object> given = new ArrayList<>(Arrays.asList(arguments));
        int place = method.isVarArgs() ? types.size() - 1 : types.size();
        types.add(place, FutureCallback.class);
        given.add(place, callback);
        Method twin = NotificationHubClient.class.getMethod(method.getName() + "Async", types.toArray(new Class<?>[0]));
        called.add(signature(twin));
        twin.invoke(hub, given.toArray());
        try {
            return answer.get();
        } catch (java.util.concurrent.ExecutionException error) {
            throw error.getCause();
        }
    }

    static String signature(Method method) {
        return method.getName() + "(" + Arrays.stream(method.getParameterTypes()).map(Class::getSimpleName)
            .collect(Collectors.joining(", ")) + ")";
    }

    static void print(String name, String error) {
        String text = error.replace("\\", "\\\\").replace("\"", "\\\"").replaceAll("\\s+", " ");
        System.out.println("{\"method\": \"" + name + "\", \"error\": \"" + text + "\"}");
    }

    static void check(boolean holds, Object found) {
        if (!holds) throw new AssertionError("unexpected: " + found);
    }

    static boolean isRefused(int status, Check call) throws Exception {
        try {
            call.run();
        } catch (NotificationHubsException error) {
            return error.httpStatusCode() == status;
        }
        return false;
    }

    /** Runs a check, and says of each method that was called in it for the first time how it went. */
    static void method(Check check) {
        Set<String> before = new TreeSet<>(called);
        String error = "";
        try {
            check.run();
        } catch (Throwable caught) {
            error = caught.toString();
        }
        for (String name : called) {
            if (!before.contains(name) && checked.add(name)) print(name, error);
        }
    }

    public static void main(String[] arguments) throws Exception {
        NotificationHub hub = new NotificationHub(System.getenv("CONNECTION_STRING"), System.getenv("HUB"));
        for (boolean isAsync : new boolean[] {false, true}) {
            scenario(client(hub, isAsync), isAsync ? "b" : "a");
        }
        Set<String> all = Arrays.stream(NotificationHubClient.class.getMethods()).map(JavaSdk::signature)
            .collect(Collectors.toCollection(TreeSet::new));
        all.removeAll(checked);
        check(all.isEmpty(), all);
        System.exit(0); // the HTTP client keeps threads
    }

    static void scenario(NotificationHubClient client, String tag) throws Exception {
        registrations(client, tag);
        installations(client, tag);
        sends(client, tag);
        jobs(client);
    }

    static void registrations(NotificationHubClient client, String tag) throws Exception {
        String[] id = new String[1];
        Registration[] kept = new Registration[1];
        method(() -> { id[0] = client.createRegistrationId(); check(id[0].matches("\\d+-\\d+-\\d+"), id[0]); });
        method(() -> {
            AppleRegistration given = new AppleRegistration("aa01");
            given.setTags(new LinkedHashSet<>(List.of(tag, "news")));
            kept[0] = client.createRegistration(given);
            check(((AppleRegistration) kept[0]).getDeviceToken().equals("AA01"), kept[0].getXml());
            check(kept[0].getTags().equals(Set.of(tag, "news")), kept[0].getTags());
            for (Registration each : List.of(
                    new AppleTemplateRegistration("aa02", TEMPLATE),
                    new WindowsRegistration(URI.create("https://db5.notify.windows.com/?token=1&x=2")),
                    new WindowsTemplateRegistration(
                        URI.create("https://db5.notify.windows.com/?token=2"), "<toast><text>$(m)</text></toast>"),
                    new FcmRegistration("fcm1"),
                    new FcmTemplateRegistration("fcm2", "{\"data\":{\"m\":\"$(m)\"}}"),
                    new GcmRegistration("gcm1"),
                    new AdmRegistration("adm1"),
                    new BaiduRegistration("user", "channel"),
                    new MpnsRegistration(URI.create("https://mpns.example/1")))) {
                Registration made = client.createRegistration(each);
                String kind = each.getClass().getSimpleName().replace("Fcm", "Gcm"); // as the SDK itself spells it
                check(made.getClass().getSimpleName().equals(kind), made);
                client.deleteRegistration(made);
            }
        });
        method(() -> {
            AppleRegistration given = new AppleRegistration(id[0], "aa03");
            given.setTags(Set.of(tag));
            check(client.upsertRegistration(given).getRegistrationId().equals(id[0]), given);
        });
        method(() -> {
            kept[0].setTags(Set.of(tag, "sport"));
            Registration updated = client.updateRegistration(kept[0]);
            check(updated.getEtag().equals("2"), updated.getEtag());
            check(isRefused(412, () -> client.updateRegistration(kept[0])), "a stale ETag is taken");
            kept[0] = updated;
        });
        method(() -> {
            Registration found = client.getRegistration(kept[0].getRegistrationId());
            check(found.getTags().equals(Set.of(tag, "sport")), found.getTags());
        });
        method(() -> check(client.getRegistrations().getRegistrations().size() == 2, client.getRegistrations()));
        method(() -> {
            CollectionResult first = client.getRegistrations(1, null);
            CollectionResult second = client.getRegistrations(1, first.getContinuationToken());
            check(first.getRegistrations().size() == 1 && second.getContinuationToken() == null, second);
        });
        method(() -> check(client.getRegistrationsByTag("sport").getRegistrations().size() == 1, "by tag"));
        method(() -> check(client.getRegistrationsByTag(tag, 1, null).getContinuationToken() != null, "no token"));
        method(() -> check(client.getRegistrationsByChannel("AA01").getRegistrations().size() == 1, "by channel"));
        method(() -> check(client.getRegistrationsByChannel("AA03", 1, null).getRegistrations().size() == 1, "channel"));
        method(() -> client.deleteRegistration(kept[0]));
        method(() -> {
            client.deleteRegistration(id[0]);
            check(isRefused(404, () -> client.getRegistration(id[0])), "it is still there");
        });
    }

    static void installations(NotificationHubClient client, String tag) throws Exception {
        method(() -> {
            Installation given = new Installation("phone", NotificationPlatform.Apns, "AA04", tag, "t");
            given.setUserId("ann");
            given.addTemplate("greet", new InstallationTemplate(TEMPLATE));
            client.createOrUpdateInstallation(given);
        });
        method(() -> {
            Installation found = client.getInstallation("phone");
            check(found.getPushChannel().equals("AA04") && found.getTags().equals(List.of(tag, "t")), found.toJson());
            check(found.getTemplates().get("greet").getBody().equals(TEMPLATE), found.toJson());
        });
        method(() -> {
            client.patchInstallation("phone", new PartialUpdateOperation(UpdateOperationType.Add, "/tags", "u"),
                new PartialUpdateOperation(UpdateOperationType.Remove, "/tags/t"));
            check(client.getInstallation("phone").getTags().equals(List.of(tag, "u")), "tags");
        });
        method(() -> {
            client.patchInstallation("phone", List.of(
                new PartialUpdateOperation(UpdateOperationType.Add, "/templates/more",
                    new InstallationTemplate(TEMPLATE).toJson()),
                new PartialUpdateOperation(UpdateOperationType.Replace, "/userId", "bob")));
            Installation found = client.getInstallation("phone");
            check(found.getTemplates().containsKey("more") && found.getUserId().equals("bob"), found.toJson());
        });
    }

    static void sends(NotificationHubClient client, String tag) throws Exception {
        Notification apple = Notification.createAppleNotification(APS, Map.of("apns-priority", "5"));
        Date later = new Date(System.currentTimeMillis() + 3600_000);
        String[] sent = new String[2];
        method(() -> sent[0] = client.sendNotification(apple, Set.of(tag, "nobody")).getNotificationId());
        method(() -> {
            for (Notification each : List.of(
                    Notification.createTemplateNotification(Map.of("m", "hi")),
                    Notification.createWindowsNotification("<toast/>"),
                    Notification.createFcmNotification("{\"data\":{\"m\":\"hi\"}}"))) {
                check(client.sendNotification(each).getNotificationId() != null, each.getBody());
            }
        });
        method(() -> check(client.sendNotification(apple, tag + " && !x").getNotificationId() != null, "no id"));
        method(() -> {
            NotificationTelemetry found;
            do {
                Thread.sleep(20);
                found = client.getNotificationTelemetry(sent[0]);
            } while (found.getNotificationStatus() != NotificationStatus.Completed);
            // The SDK's parser puts a count without a name beside those that it reads.
            check(found.getApnsOutcomeCounts().get("Success") == 1, found.getApnsOutcomeCounts());
            check(found.getNotificationBody().equals(APS), found.getNotificationBody());
        });
        method(() -> check(client.sendDirectNotification(apple, "AA05").getNotificationId() != null, "no id"));
        method(() -> {
            String id = client.sendDirectNotification(apple, List.of("AA05", "AA06")).getNotificationId();
            check(client.getNotificationTelemetry(id).getNotificationId().equals(id), id);
        });
        method(() -> check(client.scheduleNotification(apple, later).getNotificationId() != null, "no id"));
        method(() -> check(client.scheduleNotification(apple, Set.of(tag), later).getNotificationId() != null, "no id"));
        method(() -> {
            sent[1] = client.scheduleNotification(apple, tag, later).getNotificationId();
            check(client.getNotificationTelemetry(sent[1]).getNotificationStatus() == NotificationStatus.Scheduled, "state");
        });
        method(() -> {
            client.cancelScheduledNotification(sent[1]);
            check(client.getNotificationTelemetry(sent[1]).getNotificationStatus() == NotificationStatus.Canceled, "state");
        });
        method(() -> {
            client.deleteInstallation("phone");
            check(isRefused(404, () -> client.getInstallation("phone")), "it is still there");
        });
    }

    static void jobs(NotificationHubClient client) throws Exception {
        NotificationHubJob[] job = new NotificationHubJob[1];
        method(() -> {
            NotificationHubJob given = new NotificationHubJob();
            given.setJobType(NotificationHubJobType.ExportRegistrations);
            given.setOutputContainerUri(System.getenv("CONTAINER"));
            job[0] = client.submitNotificationHubJob(given);
            check(job[0].getJobId() != null, job[0]);
        });
        method(() -> {
            NotificationHubJob found;
            do {
                Thread.sleep(20);
                found = client.getNotificationHubJob(job[0].getJobId());
            } while (found.getJobStatus() != NotificationHubJobStatus.Completed);
            check(found.getProgress() == 100.0, found.getProgress());
            check(found.getOutputProperties().get("OutputFilePath").endsWith("/Output.txt"), found.getOutputProperties());
        });
        method(() -> check(!client.getAllNotificationHubJobs().isEmpty(), "no job"));
    }
}
