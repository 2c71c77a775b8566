import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;

/** Arguments: brokers, client id, bytes per second that this client may produce on each broker ("none": no limit). */
public class QuotaSetter {
  public static void main(String[] args) throws Exception {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", args[0]);
    Double bytesPerSecond = args[2].equals("none") ? null : Double.valueOf(args[2]);
    try (Admin admin = Admin.create(settings)) {
      var client = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, args[1]));
      var quota = new ClientQuotaAlteration.Op("producer_byte_rate", bytesPerSecond);
      admin.alterClientQuotas(List.of(new ClientQuotaAlteration(client, List.of(quota)))).all().get();
    }
  }
}
