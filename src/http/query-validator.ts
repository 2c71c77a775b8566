import Type, { type TObject } from 'typebox';
import { Compile } from 'typebox/compile';
import { ParameterFault } from './parameter-fault.ts';

/** As JSON writes a whole number that is not negative. */
const WHOLE_NUMBER = /^(0|[1-9][0-9]{0,14})$/;

type Query = Readonly<Record<string, unknown>>;

/**
 * Judges the query of a request by its schema. Nothing coerces: a whole number has one way to be written, and what is given
 * twice, or not known, does not fit.
 */
export function queryValidator(
  schema: TObject,
): (query: Query) => { value: Query } | { error: ParameterFault } {
  const validator = Compile(schema);
  const integers = Object.entries(schema.properties).filter(([, parameter]) => Type.IsInteger(parameter));
  return (query) => {
    const value = { ...query };
    for (const [name] of integers) {
      const text = value[name];
      if (typeof text === 'string' && WHOLE_NUMBER.test(text)) value[name] = Number(text);
    }
    return validator.Check(value) ? { value } : { error: new ParameterFault(validator.Errors(value)) };
  };
}
