import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.HttpURLConnection;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.zip.GZIPInputStream;

/**
 * OldClient MODE BASE: the modes of ../clients_test.go, with HttpURLConnection, which most of Java's older libraries stand
 * on. Like Client it says nothing about a proxy or about certificates.
 */
final class OldClient {
    private static final int PATIENCE = 60_000; // milliseconds

    private final String base;

    private OldClient(String base) {
        this.base = base;
    }

    public static void main(String[] args) throws Exception {
        new OldClient(args[1]).run(args[0]);
    }

    private void run(String mode) throws Exception {
        switch (mode) {
            case "get" -> print(open("/echo"));
            case "all" -> {
                print(open("/echo"));
                print(post("/upload", "upload.bin", false));
                save("/download", "download.bin");
            }
            case "large-upload" -> print(post("/large", "large.bin", false));
            case "large-download" -> save("/large", "large-download.bin");
            case "stream", "events" -> lines("/" + mode, Integer.MAX_VALUE);
            case "continue" -> print(post("/continue", "upload.bin", true));
            case "redirect" -> print(open("/redirect"));
            case "gzip" -> {
                var c = open("/gzip");
                c.setRequestProperty("Accept-Encoding", "gzip");
                System.out.println(text(new GZIPInputStream(body(c))));
            }
            case "hang-up" -> lines("/forever", 1);
            default -> {
                System.err.println("no such mode");
                System.exit(64);
            }
        }
    }

    private HttpURLConnection open(String path) throws IOException {
        var c = (HttpURLConnection) new URL(base + path).openConnection();
        c.setConnectTimeout(PATIENCE);
        c.setReadTimeout(PATIENCE);
        c.setRequestProperty("Authorization", "Bearer bogus-of-the-client");
        return c;
    }

    /** post streams the file, whose length it knows. */
    private HttpURLConnection post(String path, String file, boolean expect) throws IOException {
        var c = open(path);
        c.setRequestMethod("POST");
        c.setDoOutput(true);
        c.setFixedLengthStreamingMode(Files.size(Path.of(file)));
        if (expect) {
            c.setRequestProperty("Expect", "100-continue");
        }
        try (var out = c.getOutputStream()) {
            Files.copy(Path.of(file), out);
        }
        return c;
    }

    private void print(HttpURLConnection c) throws IOException {
        System.out.println(text(body(c)));
    }

    private void save(String path, String file) throws IOException {
        Files.copy(body(open(path)), Path.of(file), StandardCopyOption.REPLACE_EXISTING);
    }

    /** lines prints up to so many lines of the answer, each as soon as it is there. */
    private void lines(String path, int most) throws IOException {
        var c = open(path);
        var reader = new BufferedReader(new InputStreamReader(body(c), StandardCharsets.UTF_8));
        String line;
        for (int n = 0; n < most && (line = reader.readLine()) != null; n++) {
            System.out.println(line);
        }
        c.disconnect();
    }

    private static InputStream body(HttpURLConnection c) throws IOException {
        var status = c.getResponseCode();
        System.out.println(status + " " + c.getHeaderFields());
        if (status != 200) {
            throw new IOException("status " + status + ": " + text(c.getErrorStream()));
        }
        return c.getInputStream();
    }

    private static String text(InputStream body) throws IOException {
        return new String(body.readAllBytes(), StandardCharsets.UTF_8);
    }
}
