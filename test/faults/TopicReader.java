import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Prints all that a topic holds: per record a line of partition, offset, key and value between tabs; last the number
 * of lines, so that an output cut short is noticed. Kafka's own consumer, which shares no code with what wrote it.
 * With "exact" as third argument key and value are in Base64, "-" for none, and behind them are the headers as
 * name=Base64, with spaces between.
 */
public class TopicReader {
  private static final long SILENCE_MS_MAX = 30_000;

  public static void main(String[] args) throws Exception {
    String topic = args[1];
    boolean isExact = args.length > 2 && args[2].equals("exact");
    Properties settings = new Properties();
    settings.put("bootstrap.servers", args[0]);
    settings.put("enable.auto.commit", "false");
    settings.put("max.poll.records", "10000");
    ByteArrayDeserializer bytes = new ByteArrayDeserializer();
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings, bytes, bytes);
        OutputStream out = new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 20)) {
      List<TopicPartition> partitions =
          consumer.partitionsFor(topic).stream().map(p -> new TopicPartition(topic, p.partition())).toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      long lines = 0;
      long heardAt = System.nanoTime();
      while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
          out.write((record.partition() + "\t" + record.offset() + "\t").getBytes(StandardCharsets.US_ASCII));
          write(out, record.key(), isExact);
          out.write('\t');
          write(out, record.value(), isExact);
          if (isExact) writeHeaders(out, record.headers());
          out.write('\n');
          lines += 1;
          heardAt = System.nanoTime();
        }
        if (System.nanoTime() - heardAt > SILENCE_MS_MAX * 1_000_000) throw new Exception("no records come");
      }
      out.write(("end\t" + lines + "\n").getBytes(StandardCharsets.US_ASCII));
    }
  }

  /** What would break the lines becomes a question mark: the value is a wrong one then, and is found out as such. */
  private static void write(OutputStream out, byte[] text, boolean isExact) throws Exception {
    if (isExact) {
      out.write(text == null ? new byte[] {'-'} : Base64.getEncoder().encode(text));
      return;
    }
    if (text == null) return;
    byte[] safe = text.clone();
    for (int i = 0; i < safe.length; i += 1) if (safe[i] >= 0 && safe[i] < 0x20) safe[i] = '?';
    out.write(safe);
  }

  private static void writeHeaders(OutputStream out, Iterable<Header> headers) throws Exception {
    String separator = "\t";
    for (Header header : headers) {
      out.write((separator + header.key() + "=").getBytes(StandardCharsets.UTF_8));
      write(out, header.value(), true);
      separator = " ";
    }
  }
}
