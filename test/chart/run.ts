import { join } from 'node:path';
import { temporaryFolder } from '../../dev/folders.ts';
import { helmBinary } from '../../dev/helm.ts';
import { pythonTools } from '../../dev/python-tools.ts';
import { StartError } from '../../dev/start-error.ts';
import { CASES } from './cases.ts';
import { isOfOperator, kubernetesVerdicts, operatorProblems } from './kubernetes-schemas.ts';
import { type PodSpec, podSecurityProblems } from './pod-security.ts';
import {
  environmentOf,
  PROGRAM_NAMES,
  programsIn,
  settingProblems,
  strangeNames,
} from './program-settings.ts';
import { REFUSALS } from './refusals.ts';
import { Helm, type KubernetesObject, VALUES_FILES, valuesOf } from './rendering.ts';
import { wiringProblems } from './wiring.ts';

/**
 * `npm run test:chart`: the Helm chart, rendered with every file of values in it. Needs Go and Python: Helm and the
 * schemas of Kubernetes are fetched once in a clone. No cluster.
 */

const REQUIREMENTS = join(import.meta.dirname, '..', '..', 'dev', 'kubernetes-validate', 'requirements.txt');
/** From the oldest that still gets fixes to the newest. */
const KUBERNETES_VERSIONS = ['1.31', '1.34', '1.37'];
const CI_FILES_MIN = 11;

const print = (line: string) => process.stdout.write(`${line}\n`);
let passed = 0;
let failed = 0;

function check(what: string, isSo: boolean, why = ''): void {
  if (isSo) passed += 1;
  else {
    failed += 1;
    print(`FAILED ${what} ${why}`);
  }
}

const checkNone = (what: string, problems: readonly string[]) =>
  check(what, problems.length === 0, problems.join('; '));

/** What is not there to be looked into has failed as well. */
async function checkRun(what: string, run: () => void | Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    check(what, false, String(error));
  }
}

async function main(): Promise<void> {
  const helm = new Helm(await helmBinary(print));
  const { python } = await pythonTools(REQUIREMENTS, { name: 'kubernetes-validate', progress: print });
  const folder = temporaryFolder('chart');

  check('there are files of values', VALUES_FILES.size >= CI_FILES_MIN);
  const distinct = new Map<string, KubernetesObject>();
  const rendered = new Set<string>();
  for (const name of VALUES_FILES.keys()) {
    const complaint = helm.lint(valuesOf(name));
    check(`${name}: helm lint`, complaint === '', complaint);
    await checkRun(`${name}: objects`, () => {
      const objects = helm.render(valuesOf(name));
      for (const object of objects) distinct.set(JSON.stringify(object), object);
      for (const program of programsIn(objects)) rendered.add(program);
      checkObjects(name, objects, join(folder, name));
    });
  }
  check('every program is rendered', rendered.size === PROGRAM_NAMES.length, [...rendered].join());
  checkSchemas([...distinct.values()], python, folder);
  for (const { what, values, message } of REFUSALS) {
    const refusal = helm.refusal(values);
    check(`refused: ${what}`, message.test(refusal), refusal || 'it was rendered');
  }
  for (const { what, holds } of CASES) await checkRun(what, async () => check(what, await holds(helm)));
}

/** OpenShift chooses one itself. */
const uidOf = (name: string): number | undefined => (name === 'openshift' ? undefined : 65_534);

function checkObjects(name: string, objects: readonly KubernetesObject[], folder: string): void {
  for (const { kind, spec } of objects) {
    const podSpec: PodSpec | undefined = kind === 'Pod' ? spec : spec?.template?.spec;
    if (podSpec !== undefined)
      checkNone(`${name}: security of ${kind}`, podSecurityProblems(podSpec, uidOf(name)));
  }
  for (const program of programsIn(objects)) {
    const names = strangeNames(environmentOf(objects, program), program);
    checkNone(`${name}: names of settings of ${program}`, names);
    const problems = settingProblems(objects, program, join(folder, program));
    checkNone(`${name}: ${program} starts with them`, problems);
  }
  checkNone(`${name}: objects fit together`, wiringProblems(objects));
}

/** Many objects are the same for all values, so each is looked at once. */
function checkSchemas(objects: readonly KubernetesObject[], python: string, folder: string): void {
  for (const object of objects.filter(isOfOperator))
    checkNone(`schema of ${object.kind}`, operatorProblems(object));
  const own = objects.filter((object) => !isOfOperator(object));
  for (const version of KUBERNETES_VERSIONS) {
    const verdicts = kubernetesVerdicts(own, { python, version, file: join(folder, 'objects.yaml') });
    check(`Kubernetes ${version}: every object has a verdict`, verdicts.length === own.length);
    for (const verdict of verdicts)
      check(`Kubernetes ${version}:`, verdict.startsWith('INFO') && verdict.endsWith(version), verdict);
  }
}

try {
  await main();
  print(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
