/** Something of the local stack could not be started. The message is one line for the person at the terminal. */
export class StartError extends Error {
  override name = 'StartError';
}

/** It could not be started because a program that it needs is not on this machine. */
export class MissingProgramError extends StartError {
  override name = 'MissingProgramError';
}
