import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import java.util.zip.GZIPInputStream;

/**
 * Client VERSION MODE BASE: the modes of ../clients_test.go, with java.net.http. It says nothing about a proxy or about
 * certificates: a client built without takes ProxySelector.getDefault() and SSLContext.getDefault(), and both read
 * the system properties that JAVA_TOOL_OPTIONS sets.
 */
final class Client {
    private static final String BOGUS = "Bearer bogus-of-the-client";
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    private final HttpClient http;
    private final String base;

    private Client(HttpClient.Version version, String base) {
        this.http = HttpClient.newBuilder().version(version).followRedirects(HttpClient.Redirect.NORMAL)
                .connectTimeout(PATIENCE).build();
        this.base = base;
    }

    public static void main(String[] args) throws Exception {
        var version = args[0].equals("2") ? HttpClient.Version.HTTP_2 : HttpClient.Version.HTTP_1_1;
        new Client(version, args[2]).run(args[1]);
        System.exit(0); // its threads would go on for a while
    }

    private void run(String mode) throws Exception {
        switch (mode) {
            case "get" -> print(to("/echo"));
            case "all" -> {
                print(to("/echo"));
                print(to("/upload").POST(BodyPublishers.ofFile(Path.of("upload.bin"))));
                send(to("/download"), BodyHandlers.ofFile(Path.of("download.bin")));
            }
            case "large-upload" -> print(to("/large").POST(BodyPublishers.ofFile(Path.of("large.bin"))));
            case "large-download" -> send(to("/large"), BodyHandlers.ofFile(Path.of("large-download.bin")));
            case "stream", "events" -> lines("/" + mode, Integer.MAX_VALUE);
            case "websocket" -> webSocket();
            case "continue" -> print(to("/continue").expectContinue(true).POST(BodyPublishers.ofFile(Path.of("upload.bin"))));
            case "redirect" -> print(to("/redirect"));
            case "gzip" -> gzip();
            case "hang-up" -> lines("/forever", 1);
            default -> {
                System.err.println("no such mode");
                System.exit(64);
            }
        }
    }

    private void print(HttpRequest.Builder request) throws Exception {
        System.out.println(send(request, BodyHandlers.ofString()));
    }

    /** lines prints up to so many lines of the answer, each as soon as it is there. */
    private void lines(String path, int most) throws Exception {
        try (var body = send(to(path), BodyHandlers.ofInputStream());
                var reader = new BufferedReader(new InputStreamReader(body, StandardCharsets.UTF_8))) {
            String line;
            for (int n = 0; n < most && (line = reader.readLine()) != null; n++) {
                System.out.println(line);
            }
        }
    }

    private void gzip() throws Exception {
        var body = send(to("/gzip").header("Accept-Encoding", "gzip"), BodyHandlers.ofInputStream());
        System.out.println(new String(new GZIPInputStream(body).readAllBytes(), StandardCharsets.UTF_8));
    }

    private HttpRequest.Builder to(String path) {
        return HttpRequest.newBuilder(URI.create(base + path)).timeout(PATIENCE).header("Authorization", BOGUS);
    }

    private <T> T send(HttpRequest.Builder request, HttpResponse.BodyHandler<T> handler) throws Exception {
        var response = http.send(request.build(), handler);
        System.out.println(response.version() + " " + response.statusCode() + " " + response.headers().map());
        if (response.statusCode() != 200) {
            var body = response.body() instanceof InputStream stream ? new String(stream.readAllBytes()) : response.body();
            throw new IOException("status " + response.statusCode() + ": " + body);
        }
        return response.body();
    }

    private void webSocket() throws Exception {
        var echo = new Echo();
        var socket = http.newWebSocketBuilder().header("Authorization", BOGUS)
                .buildAsync(URI.create(base.replaceFirst("^http", "ws") + "/websocket"), echo).get(60, TimeUnit.SECONDS);
        socket.sendText("hello-from-the-client", true).get(60, TimeUnit.SECONDS);
        System.out.println(echo.text.get(60, TimeUnit.SECONDS));

        var sent = new byte[100_000];
        Arrays.fill(sent, (byte) 7);
        socket.sendBinary(ByteBuffer.wrap(sent), true).get(60, TimeUnit.SECONDS);
        if (!ByteBuffer.wrap(sent).equals(echo.binary.get(60, TimeUnit.SECONDS))) {
            throw new IOException("the binary message came back otherwise");
        }
        socket.sendClose(WebSocket.NORMAL_CLOSURE, "").get(60, TimeUnit.SECONDS);
        System.out.println("closed " + echo.closed.get(60, TimeUnit.SECONDS));
    }

    /** Echo collects one message of each kind, of which either may come in parts, and the status of the end. */
    private static final class Echo implements WebSocket.Listener {
        final CompletableFuture<String> text = new CompletableFuture<>();
        final CompletableFuture<ByteBuffer> binary = new CompletableFuture<>();
        final CompletableFuture<Integer> closed = new CompletableFuture<>();
        private final StringBuilder textParts = new StringBuilder();
        private final ByteBuffer binaryParts = ByteBuffer.allocate(200_000);

        @Override
        public CompletionStage<?> onText(WebSocket socket, CharSequence part, boolean last) {
            textParts.append(part);
            if (last) {
                text.complete(textParts.toString());
            }
            socket.request(1);
            return null;
        }

        @Override
        public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer part, boolean last) {
            binaryParts.put(part);
            if (last) {
                binary.complete(binaryParts.flip());
            }
            socket.request(1);
            return null;
        }

        @Override
        public CompletionStage<?> onClose(WebSocket socket, int status, String reason) {
            closed.complete(status);
            return null;
        }
    }
}
