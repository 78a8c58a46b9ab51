// Checks PDFs with veraPDF: java -cp <jars> Vera.java 3a,ua1 a.pdf …; one line a finding, exit 1 on any.

import java.io.FileInputStream;
import java.util.TreeMap;
import org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider;
import org.verapdf.pdfa.Foundries;
import org.verapdf.pdfa.flavours.PDFAFlavour;
import org.verapdf.pdfa.results.TestAssertion;
import org.verapdf.pdfa.results.ValidationResult;

public class Vera {
  public static void main(String[] arguments) throws Exception {
    VeraGreenfieldFoundryProvider.initialise();
    boolean clean = true;
    for (int i = 1; i < arguments.length; i++) {
      for (String id : arguments[0].split(",")) {
        PDFAFlavour flavour = PDFAFlavour.byFlavourId(id);
        try (var parser = Foundries.defaultInstance().createParser(new FileInputStream(arguments[i]), flavour)) {
          ValidationResult result = Foundries.defaultInstance().createValidator(flavour, false).validate(parser);
          System.out.printf("%s %s compliant=%s%n", arguments[i], id, result.isCompliant());
          clean &= result.isCompliant();
          var found = new TreeMap<String, Integer>();
          for (TestAssertion a : result.getTestAssertions())
            if (a.getStatus() == TestAssertion.Status.FAILED)
              found.merge(a.getRuleId().getClause() + "-" + a.getRuleId().getTestNumber() + " " + a.getMessage(), 1, Integer::sum);
          found.forEach((rule, count) -> System.out.println("  " + count + " × " + rule));
        }
      }
    }
    System.exit(clean ? 0 : 1);
  }
}
