"""oversight.sandwich: does the model's help let a weaker judge get more right than alone?"""
