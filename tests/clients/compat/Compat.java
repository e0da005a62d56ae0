import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonParser;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.RedisProtocol;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.util.KeyValue;

/** Compat HOST PORT PROTOCOL PREFIX STEPS with Jedis: a line of JSON for each step of steps.json, its reply. */
public final class Compat {
    private static Object plain(Object reply) {
        if (reply instanceof byte[]) {
            return new String((byte[]) reply, StandardCharsets.UTF_8);
        }
        if (reply instanceof Exception) {
            return Map.of("error", String.valueOf(((Exception) reply).getMessage()));
        }
        if (reply instanceof KeyValue) {
            KeyValue<?, ?> pair = (KeyValue<?, ?>) reply;
            return List.of(plain(pair.getKey()), plain(pair.getValue()));
        }
        if (reply instanceof Iterable) {
            List<Object> list = new ArrayList<>();
            ((Iterable<?>) reply).forEach(item -> list.add(plain(item)));
            return list;
        }
        if (reply instanceof Map) {
            Map<String, Object> dict = new TreeMap<>();
            ((Map<?, ?>) reply).forEach((key, value) -> dict.put(String.valueOf(plain(key)), plain(value)));
            return dict;
        }
        return reply;
    }

    public static void main(String[] args) throws Exception {
        JsonArray steps = JsonParser.parseString(Files.readString(Path.of(args[4]))).getAsJsonObject().getAsJsonArray("steps");
        RedisProtocol protocol = args[2].equals("3") ? RedisProtocol.RESP3 : RedisProtocol.RESP2;
        DefaultJedisClientConfig config = DefaultJedisClientConfig.builder().protocol(protocol).build();
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        Gson gson = new Gson().newBuilder().serializeNulls().serializeSpecialFloatingPointValues().create();

        try (Jedis jedis = new Jedis(args[0], Integer.parseInt(args[1]), config)) {
            for (JsonElement step : steps) {
                List<String> words = new ArrayList<>();
                step.getAsJsonArray().forEach(word -> words.add(word.getAsString().replace("{}", args[3])));
                String name = words.remove(0);
                Object reply;
                try {
                    reply = jedis.getConnection().executeCommand(new redis.clients.jedis.CommandArguments(
                        () -> name.getBytes(StandardCharsets.UTF_8)).addObjects(words));
                } catch (JedisDataException e) {
                    reply = e;
                }
                out.println(gson.toJson(plain(reply)));
            }
        }
    }
}
