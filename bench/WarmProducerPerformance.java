import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.tools.ProducerPerformance;

/**
 * Kafka's own producer-perf-test, twice in one JVM: what it measures first, cold, is not to be compared with a server
 * that is warm, and it has no warm-up of its own. Arguments: records to warm up with, records to measure, and then what
 * producer-perf-test takes besides --num-records. The last line it prints is the measurement.
 */
public class WarmProducerPerformance {
    public static void main(String[] arguments) throws Exception {
        for (int run = 0; run < 2; run++) {
            List<String> ofRun = new ArrayList<>(List.of(arguments).subList(2, arguments.length));
            ofRun.addAll(0, List.of("--num-records", arguments[run]));
            ProducerPerformance.main(ofRun.toArray(String[]::new));
        }
    }
}
