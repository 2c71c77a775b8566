import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.record.SimpleRecord;
import org.apache.kafka.common.utils.Utils;

/**
 * Kafka's own client code, asked from a test. Lines in, lines out, with base64 for bytes:
 * {@code write TIMESTAMP KEY VALUE KEY VALUE ...} answers the batch in hex, {@code read BATCH} verifies a batch and
 * answers its records, {@code partition KEY COUNT} answers where the producer would put a key.
 */
public class GoldenBatch {
    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ");
            switch (words[0]) {
                case "write" -> System.out.println(write(words));
                case "read" -> System.out.println(read(words[1]));
                case "partition" -> System.out.println(
                    Utils.toPositive(Utils.murmur2(bytes(words[1]))) % Integer.parseInt(words[2]));
                default -> throw new IllegalArgumentException(words[0]);
            }
        }
    }

    private static String write(String[] words) {
        long timestamp = Long.parseLong(words[1]);
        List<SimpleRecord> records = new ArrayList<>();
        for (int word = 2; word < words.length; word += 2) {
            records.add(new SimpleRecord(timestamp, bytes(words[word]), bytes(words[word + 1])));
        }
        MemoryRecords batch = MemoryRecords.withRecords(Compression.NONE, records.toArray(new SimpleRecord[0]));
        byte[] written = new byte[batch.sizeInBytes()];
        batch.buffer().duplicate().get(written);
        return HexFormat.of().formatHex(written);
    }

    private static String read(String base64) {
        StringBuilder answer = new StringBuilder();
        for (RecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(bytes(base64))).batches()) {
            batch.ensureValid();
            answer.append(batch.compressionType().name);
            batch.forEach(record -> answer
                .append(' ').append(Base64.getEncoder().encodeToString(Utils.toArray(record.key())))
                .append(' ').append(Base64.getEncoder().encodeToString(Utils.toArray(record.value()))));
        }
        return answer.toString();
    }

    private static byte[] bytes(String base64) {
        return Base64.getDecoder().decode(base64);
    }
}
