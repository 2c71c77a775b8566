import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ElectionNotNeededException;

/**
 * Moves leadership without stopping anything. A line "place 0 2,1,3" puts partition 0 on these brokers and makes 2
 * the preferred one, "elect 0" has the preferred one elected. Answers each with a line: "ok", or what went wrong.
 * It is impatient, because one of the brokers may be stopped: then another one is asked.
 */
public class LeaderMover {
  public static void main(String[] args) throws Exception {
    String topic = args[1];
    Properties settings = new Properties();
    settings.put("bootstrap.servers", args[0]);
    settings.put("default.api.timeout.ms", "5000");
    settings.put("request.timeout.ms", "400");
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    try (Admin admin = Admin.create(settings)) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        String[] words = line.split(" ");
        TopicPartition partition = new TopicPartition(topic, Integer.parseInt(words[1]));
        try {
          if (words[0].equals("place")) place(admin, partition, words[2]);
          else elect(admin, partition);
          System.out.println("ok");
        } catch (Exception e) {
          System.out.println(String.valueOf(e.getMessage()).replace('\n', ' '));
        }
      }
    }
  }

  private static void place(Admin admin, TopicPartition partition, String nodes) throws Exception {
    List<Integer> replicas = Arrays.stream(nodes.split(",")).map(Integer::parseInt).toList();
    var wish = Optional.of(new NewPartitionReassignment(replicas));
    admin.alterPartitionReassignments(Map.of(partition, wish)).all().get();
  }

  private static void elect(Admin admin, TopicPartition partition) throws Exception {
    var result = admin.electLeaders(ElectionType.PREFERRED, Set.of(partition)).partitions().get();
    Optional<Throwable> error = result.getOrDefault(partition, Optional.empty());
    boolean isLeading = error.isPresent() && error.get() instanceof ElectionNotNeededException;
    if (error.isPresent() && !isLeading) throw new Exception(error.get());
  }
}
