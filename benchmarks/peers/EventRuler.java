import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import software.amazon.event.ruler.Machine;

/** Matches parsed events against rules: `EventRuler RULES EVENTS` prints what fires and events per CPU-second of its thread. */
public class EventRuler {
    private static final int WARM_UP = 20;
    private static final int ROUNDS = 5;

    public static void main(String[] files) throws Exception {
        ObjectMapper json = new ObjectMapper();
        Machine machine = new Machine();
        Iterator<Map.Entry<String, JsonNode>> rules = json.readTree(new File(files[0])).fields();
        while (rules.hasNext()) {
            Map.Entry<String, JsonNode> rule = rules.next();
            machine.addRule(rule.getKey(), rule.getValue().toString());
        }
        List<JsonNode> events = new ArrayList<>();
        json.readTree(new File(files[1])).forEach(events::add);
        List<List<String>> fired = new ArrayList<>();
        for (JsonNode event : events) {
            fired.add(machine.rulesForJSONEvent(event));
        }
        for (int round = 0; round < WARM_UP; round++) {
            match(machine, events);
        }
        long best = Long.MAX_VALUE;
        for (int round = 0; round < ROUNDS; round++) {
            long start = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
            match(machine, events);
            best = Math.min(best, ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() - start);
        }
        System.out.println("{\"fired\": " + json.writeValueAsString(fired)
                + ", \"events/CPU-s\": " + events.size() * 1e9 / best + "}");
    }

    private static long match(Machine machine, List<JsonNode> events) {
        long hits = 0;
        for (JsonNode event : events) {
            hits += machine.rulesForJSONEvent(event).size();
        }
        return hits;
    }
}
