import com.eatthepath.pushy.apns.auth.ApnsVerificationKey;
import com.eatthepath.pushy.apns.server.MockApnsServer;
import com.eatthepath.pushy.apns.server.MockApnsServerBuilder;
import com.eatthepath.pushy.apns.server.MockApnsServerListener;
import com.eatthepath.pushy.apns.server.PushNotificationHandler;
import com.eatthepath.pushy.apns.server.PushNotificationHandlerFactory;
import com.eatthepath.pushy.apns.server.RejectionReason;
import com.eatthepath.pushy.apns.server.ValidatingPushNotificationHandlerFactory;
import io.netty.buffer.ByteBuf;
import io.netty.handler.codec.http2.Http2Headers;
import java.io.File;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/**
 * APNs as pushy's authors understand it, until standard input ends.
 *
 * <p>SecondApns PORT SERVER_PEM CLIENT_CA_PEM PUBLIC_KEY_PEM TEAM_ID KEY_ID TOPIC [TOKEN=TOPIC[@MILLISECONDS]]...
 *
 * <p>The key may push for TOPIC and its calls. A token with a time is one whose app is gone since then. Each push is a line on standard
 * output: what pushy says of it, its header fields and its payload, with tabs between.
 */
public final class SecondApns {
  public static void main(String[] arguments) throws Exception {
    final File server = new File(arguments[1]);
    final ApnsVerificationKey key =
        ApnsVerificationKey.loadFromPkcs8File(new File(arguments[3]), arguments[4], arguments[5]);
    final Map<String, Set<String>> tokens = new HashMap<>();
    final Map<String, Instant> gone = new HashMap<>();
    for (int place = 7; place < arguments.length; place++) {
      final String[] device = arguments[place].split("[=@]");
      tokens.computeIfAbsent(device[1], topic -> new HashSet<>()).add(device[0]);
      if (device.length > 2) {
        gone.put(device[0], Instant.ofEpochMilli(Long.parseLong(device[2])));
      }
    }
    final MockApnsServer apns =
        new MockApnsServerBuilder()
            .setServerCredentials(server, server, null)
            .setTrustedClientCertificateChain(new File(arguments[2]))
            .setUseAlpn(true)
            .setHandlerFactory(
                reading(
                    new ValidatingPushNotificationHandlerFactory(
                        tokens, gone, Map.of(arguments[5], key), Map.of(key, Set.of(arguments[6], arguments[6] + ".voip")))))
            .setListener(new Journal())
            .build();
    apns.start(Integer.parseInt(arguments[0])).get();
    System.out.println("ready");
    while (System.in.read() >= 0) {}
    System.exit(0);
  }

  /**
   * Pushy reads the signature of a provider token as DER (X9.62), which its own client writes and Apple takes too. A JSON Web
   * Signature is R and S one behind the other (RFC 7518, section 3.4): what came so is written as pushy reads it, and the
   * check stays pushy's.
   */
  private static PushNotificationHandlerFactory reading(PushNotificationHandlerFactory pushy) {
    return session -> {
      final PushNotificationHandler handler = pushy.buildHandler(session);
      return (headers, payload) -> {
        final CharSequence token = headers.get("authorization");
        if (token != null) {
          headers.set("authorization", withDer(token.toString()));
        }
        handler.handlePushNotification(headers, payload);
      };
    };
  }

  private static String withDer(String token) {
    final int place = token.lastIndexOf('.') + 1;
    final byte[] signature = Base64.getUrlDecoder().decode(token.substring(place));
    if (signature.length != 64) {
      throw new IllegalArgumentException("a signature of " + signature.length + " bytes is none of ES256");
    }
    final byte[] r = new BigInteger(1, signature, 0, 32).toByteArray();
    final byte[] s = new BigInteger(1, signature, 32, 32).toByteArray();
    final ByteBuffer der = ByteBuffer.allocate(6 + r.length + s.length);
    der.put((byte) 0x30).put((byte) (4 + r.length + s.length));
    der.put((byte) 2).put((byte) r.length).put(r).put((byte) 2).put((byte) s.length).put(s);
    return token.substring(0, place) + Base64.getUrlEncoder().withoutPadding().encodeToString(der.array());
  }

  private static final class Journal implements MockApnsServerListener {
    @Override
    public void handlePushNotificationAccepted(Http2Headers headers, ByteBuf payload) {
      write("accepted", headers, payload);
    }

    @Override
    public void handlePushNotificationRejected(
        Http2Headers headers, ByteBuf payload, RejectionReason reason, Instant gone) {
      write(reason.name(), headers, payload);
    }

    private static synchronized void write(String said, Http2Headers headers, ByteBuf payload) {
      final StringBuilder line = new StringBuilder(said);
      headers.forEach(field -> line.append('\t').append(field.getKey()).append(' ').append(field.getValue()));
      System.out.println(line.append('\t').append(payload == null ? "" : payload.toString(StandardCharsets.UTF_8)));
    }
  }
}
