import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;

/**
 * Client VERSION get|all BASE: the steps of every client, see ../clients_test.go. It says nothing about a proxy or about
 * certificates: a client built without takes ProxySelector.getDefault() and SSLContext.getDefault(), and both read
 * the system properties that JAVA_TOOL_OPTIONS sets.
 */
final class Client {
    private final HttpClient http;
    private final String base;

    private Client(HttpClient.Version version, String base) {
        this.http = HttpClient.newBuilder().version(version).connectTimeout(Duration.ofSeconds(60)).build();
        this.base = base;
    }

    public static void main(String[] args) throws Exception {
        var version = args[0].equals("2") ? HttpClient.Version.HTTP_2 : HttpClient.Version.HTTP_1_1;
        var client = new Client(version, args[2]);

        System.out.println(client.send(client.to("/echo"), HttpResponse.BodyHandlers.ofString()));
        if (args[1].equals("all")) {
            var upload = client.to("/upload").POST(HttpRequest.BodyPublishers.ofFile(Path.of("upload.bin")));
            System.out.println(client.send(upload, HttpResponse.BodyHandlers.ofString()));
            client.send(client.to("/download"), HttpResponse.BodyHandlers.ofFile(Path.of("download.bin")));
        }
    }

    private HttpRequest.Builder to(String path) {
        return HttpRequest.newBuilder(URI.create(base + path))
                .timeout(Duration.ofSeconds(60))
                .header("Authorization", "Bearer bogus-of-the-client");
    }

    private <T> T send(HttpRequest.Builder request, HttpResponse.BodyHandler<T> handler) throws Exception {
        var response = http.send(request.build(), handler);
        System.out.println(response.version() + " " + response.statusCode() + " " + response.headers().map());
        if (response.statusCode() != 200) {
            throw new IllegalStateException("status " + response.statusCode() + ": " + response.body());
        }
        return response.body();
    }
}
